"""The numbers of the sample's people, worked out once more from `docs/interests.md` alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from llmrec import Recommender
from llmrec.interests.profile import InterestProfile
from tests.builders import DAY, events_of, sample, scoring_model

PEOPLE = sorted({event["user_id"] for event in sample("events")})
LONG_DAYS, SHORT_DAYS, SHORT_EVENTS = 90.0, 14.0, 4.0


@dataclass
class Worked:
    """What the events say of one interest, by their place in the history."""

    says: dict[int, float] = field(default_factory=dict)
    shares: dict[int, float] = field(default_factory=dict)
    refused: int = -1

    def liked(self, decays: list[float], whole: float) -> float:
        return min(
            1.0, sum(s * decays[at] for at, s in self.says.items() if s > 0 and at > self.refused) / whole
        )

    def disliked(self, decays: list[float], whole: float) -> float:
        return min(1.0, sum(-s * decays[at] for at, s in self.says.items() if s < 0) / whole)


@pytest.fixture(scope="module")
def recommender() -> Iterator[Recommender]:
    with Recommender(scoring_model(None), sample("items"), language="en") as opened:
        yield opened


def worked_out(profile: InterestProfile) -> dict[str, Worked]:
    """Every interest: an event speaks for it and all above it; a dislike passes up by half."""
    items_of: dict[str, set[str]] = defaultdict(set)
    named: set[str] = set()
    for entry, reading in zip(profile.entries, profile.readings, strict=True):
        for label in reading.labels:
            named |= {step.id for step in label.path[:-1]}
            if not label.proposed:
                named.add(label.path[-1].id)
            elif not label.minor:
                items_of[label.path[-1].id].add(entry.item.id if entry.item else entry.event.id)
    found: dict[str, Worked] = defaultdict(Worked)
    for at, (entry, reading) in enumerate(zip(profile.entries, profile.readings, strict=True)):
        for label in reading.labels:
            last = label.path[-1].id
            if label.minor or (last not in named and len(items_of[last]) < 2):
                continue
            says = entry.strength * label.share
            says = -abs(says) if label.negative else says
            for up, step in enumerate(reversed(label.path)):
                passed = says if says >= 0 else (0.0 if label.negative and up else says * 0.5**up)
                one = found[step.id]
                better = (passed > 0, abs(passed), label.share)
                if at not in one.says or better > (one.says[at] > 0, abs(one.says[at]), one.shares[at]):
                    one.says[at], one.shares[at] = passed, label.share
            if label.negative:
                found[last].refused = at
    for interest_id, one in found.items():
        above = [other for other in found if interest_id.startswith(f"{other}/")]
        one.refused = max([one.refused, *(found[other].refused for other in above)])
    return found


@pytest.mark.parametrize("person", PEOPLE)
def test_every_number_follows_from_the_documented_formulas(recommender: Recommender, person: str) -> None:
    profile = recommender.profile(events_of(person))
    entries = profile.entries
    stamps = [entry.event.timestamp for entry in entries]
    assert all(stamp is not None for stamp in stamps) or len(entries) == 1
    ages = [((stamps[-1] or 0) - (stamp or 0)) / DAY for stamp in stamps]
    later = range(len(entries) - 1, -1, -1)
    long = [0.5 ** (age / LONG_DAYS) for age in ages]
    short = [0.5 ** max(age / SHORT_DAYS, n / SHORT_EVENTS) for age, n in zip(ages, later, strict=True)]
    wholes = [
        sum(abs(e.strength) * d for e, d in zip(entries, decays, strict=True)) for decays in (short, long)
    ]
    found = worked_out(profile)
    kept = {interest.id for interest in profile.interests}
    assert {one.id for one in profile.suppressed} == set(found) - kept
    assert kept
    for one in profile.suppressed:
        assert one.weight < 0.002
    for interest in profile.interests:
        one = found[interest.id]
        liked = [one.liked(d, whole) for d, whole in zip((short, long), wholes, strict=True)]
        disliked = [one.disliked(d, whole) for d, whole in zip((short, long), wholes, strict=True)]
        assert interest.liked == pytest.approx(sum(liked) / 2, abs=1e-12), interest.id
        assert interest.disliked == pytest.approx(sum(disliked) / 2, abs=1e-12), interest.id
        positive = interest.polarity == "positive"
        assert interest.weight == (interest.liked if positive else interest.disliked)
        if interest.liked != interest.disliked:
            assert positive == (interest.liked > interest.disliked), interest.id
        terms = liked if positive else disliked
        assert (interest.short_term, interest.long_term) == pytest.approx(tuple(terms), abs=1e-12)
        doubt = 1.0
        agreeing = [abs(s) for s in one.says.values() if (s > 0) == positive]
        for said in agreeing or map(abs, one.says.values()):
            doubt *= 1 - said
        assert interest.confidence == pytest.approx(1 - doubt, abs=1e-12), interest.id
        assert {e.event_id for e in interest.evidence} == {entries[at].event.id for at in one.says}
        assert [e.share for e in interest.evidence] == [one.shares[at] for at in sorted(one.shares)]
        expected = "both"
        if terms[0] > 2 * terms[1]:
            expected = "short-term"
        elif terms[1] > 2 * terms[0]:
            expected = "long-term"
        assert interest.horizon == expected, interest.id
        core = interest.long_term >= 0.05 and interest.support >= 4 and interest.confidence >= 0.9
        regular = interest.long_term >= 0.01 and interest.support >= 2
        assert interest.tier == ("core" if core else "regular" if regular else "occasional")
