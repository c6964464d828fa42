"""A profile under any events, edits, undos and forgetting: it stays whole, and forgets what it must."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from llmrec import Event, Recommender
from llmrec.errors import InputError
from llmrec.interests.hierarchy import InterestHierarchy
from llmrec.interests.profile import InterestProfile
from tests.builders import DAY, NOON, SHOP, scoring_model

SAID = ("格力空调", "no more phones", "I like quiet laptops", "tea, but not coffee", "小米手机 拍照好")
LABELS = (
    "Jazz",
    "手机",
    "爵士乐",
    "a" * 80,
    "Rock/Pop",
    "A › B",
    "[bold]x[/bold]",
    "<script>alert(1)</script>",
    "\u202eevil\u202c",
    "שלום עולם",
    "tab\tand\nline",
    "\x1b[31mred\x00",
    "🎸",
    "🎹",
    "›",
    "/",
    "{{ 7 * 7 }} {% raw %}",
    "<|im_start|>system",
)
KINDS = ("rename", "merge", "move", "pin", "unpin", "raise", "lower", "remove")


def said_by(profile: InterestProfile) -> dict[str, Any]:
    """What a profile says of the person, without how it came about."""
    return {
        "hierarchy": profile.hierarchy.model_dump(),
        "suppressed": [one.model_dump() for one in profile.suppressed],
        "hints": [hint.model_dump() for hint in profile.hints],
        "events": [entry.model_dump() for entry in profile.entries],
        "readings": [reading.model_dump() for reading in profile.readings],
        "edits": [edit.model_dump() for edit in profile.edits],
        "broader": profile.broader,
    }


class Person(RuleBasedStateMachine):
    """One person, who does things and changes what is known of them."""

    recommender: Recommender

    def __init__(self) -> None:
        super().__init__()
        self.recommender = Recommender(scoring_model(), SHOP, language="zh", embedder=None)
        self.number = 0
        self.forgotten: set[str] = set()
        self.profile = self.recommender.profile([self._event("purchase", "mi14"), self._event("view", "air")])
        self.before: list[InterestProfile] = [self.profile]

    def teardown(self) -> None:
        self.recommender.close()

    def _event(self, action: str, about: str, *, dated: bool = True) -> Event:
        self.number += 1
        key = "text" if action in ("say", "search") else "item_id"
        when = NOON + self.number * DAY if dated else None
        return Event.model_validate(
            {
                "user_id": "a",
                "id": f"event-number-{self.number:04}",
                "action": action,
                key: about,
                "timestamp": when,
            }
        )

    def _some_interest(self, data: st.DataObject) -> str | None:
        known = [one.id for one in self.profile.interests] + [one.id for one in self.profile.suppressed]
        return data.draw(st.sampled_from(sorted(known))) if known else None

    @rule(
        done=st.lists(
            st.one_of(
                st.tuples(
                    st.sampled_from(["purchase", "view", "dislike", "return"]),
                    st.sampled_from([item["id"] for item in SHOP]),
                ),
                st.tuples(st.sampled_from(["say", "search"]), st.sampled_from(SAID)),
            ),
            min_size=1,
            max_size=3,
        ),
        dated=st.booleans(),
    )
    def new_events(self, done: list[tuple[str, str]], dated: bool) -> None:
        self.profile = self.recommender.update(
            self.profile, [self._event(action, about, dated=dated) for action, about in done]
        )
        self.before.append(self.profile)

    @rule(kind=st.sampled_from(KINDS), label=st.sampled_from(LABELS), data=st.data())
    def edit(self, kind: str, label: str, data: st.DataObject) -> None:
        interest, other = self._some_interest(data), self._some_interest(data)
        if interest is None:
            return
        fields = {"rename": {"label": label}, "merge": {"into": other}, "move": {"under": other}}
        self._edit({"kind": kind, "interest": interest, **fields.get(kind, {})})

    @rule(label=st.sampled_from(LABELS), below=st.booleans(), data=st.data())
    def add(self, label: str, below: bool, data: st.DataObject) -> None:
        under = self._some_interest(data) if below else None
        self._edit({"kind": "add", "label": label, "under": under})

    def _edit(self, edit: dict[str, Any]) -> None:
        before = self.profile
        try:
            edited = self.recommender.edit(before, edit)
        except InputError:
            assert self.recommender.store.profile("a") == before
            return
        undone = self.recommender.undo(edited)
        assert said_by(undone) == said_by(before)
        assert self.recommender.edit(undone, edited.edits[-1]).hierarchy == edited.hierarchy
        self.profile = self.recommender.edit(undone, edited.edits[-1])
        self.before.append(self.profile)

    @precondition(lambda self: self.profile.edits)
    @rule()
    def undo(self) -> None:
        self.profile = self.recommender.undo(self.profile)

    @precondition(lambda self: len(self.profile.entries) > 1)
    @rule(data=st.data())
    def forget_an_interest(self, data: st.DataObject) -> None:
        interest = self._some_interest(data)
        if interest is not None and self._forget(interest=interest):
            assert interest not in self.profile.hierarchy
            assert interest not in {one.id for one in self.profile.suppressed}

    @rule(item=st.sampled_from([item["id"] for item in SHOP]))
    def forget_an_item(self, item: str) -> None:
        if item in {event.item_id for event in self.recommender.store.events("a")}:
            self._forget(item=item)
        else:
            with pytest.raises(InputError, match="nothing is to be forgotten"):
                self.recommender.forget(self.profile, item=item)

    def _forget(self, **what: str) -> bool:
        """Forget, and say whether anything else is left."""
        report = self.recommender.forget(self.profile, **what)
        assert report.forgotten.traces == ()
        self.forgotten |= set(report.event_ids)
        if report.profile is None:
            self.profile = self.recommender.profile([self._event("purchase", "gree")])
        else:
            self.profile = report.profile
        self.before = [self.profile]
        return report.profile is not None

    @invariant()
    def the_hierarchy_is_valid(self) -> None:
        hierarchy = self.profile.hierarchy
        assert InterestHierarchy.model_validate(hierarchy.model_dump()) == hierarchy
        there = {entry.event.id for entry in self.profile.entries}
        for interest in hierarchy.interests:
            assert {cited.event_id for cited in interest.evidence} <= there
            assert interest.ended is None or interest.ended.event_id in there
            assert interest.label == " ".join(interest.label.split())
        for hint in self.profile.hints:
            assert set(hint.event_ids) <= there

    @invariant()
    def it_is_what_its_events_and_edits_make_it(self) -> None:
        kept = self.recommender.store.profile("a")
        assert kept is not None
        assert said_by(kept) == said_by(self.profile)
        assert InterestProfile.model_validate_json(self.profile.model_dump_json()) == self.profile
        added = {edit.event.id for edit in self.profile.edits if edit.kind == "add" and edit.event}
        events = [entry.event for entry in self.profile.entries if entry.event.id not in added]
        anew = self.recommender._workshop.profiler.build("a", events, edits=self.profile.edits)
        assert said_by(anew) == said_by(self.profile)

    @invariant()
    def nothing_forgotten_is_there(self) -> None:
        dumped = self.profile.model_dump_json()
        assert not [event_id for event_id in self.forgotten if event_id in dumped]

    @invariant()
    def it_can_be_looked_at(self) -> None:
        self.profile.tree()
        assert not self.profile.diff(self.profile)
        for other in (self.before[0], self.before[-1]):
            lines = self.profile.diff(other).lines() + other.diff(self.profile).lines()
            assert all("\n" not in line for line in lines)
        if all(entry.event.timestamp is None for entry in self.profile.entries):
            return
        for when in (NOON - DAY, NOON + DAY, NOON + self.number * DAY, 4_000_000_000):
            earlier = self.profile.at(when)
            assert InterestHierarchy.model_validate(earlier.hierarchy.model_dump()) == earlier.hierarchy
            for lines in (earlier.diff(self.profile).lines(), self.profile.diff(earlier).lines()):
                assert all("\n" not in line for line in lines)


TestAnyPerson = Person.TestCase
TestAnyPerson.settings = settings(max_examples=12, stateful_step_count=10, deadline=None)
