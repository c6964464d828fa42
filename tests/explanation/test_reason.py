"""One line why: only what raised the item, with the numbers of the ranking."""

from __future__ import annotations

import re
from typing import Any

import pytest

from llmrec.behavior.events import Item
from llmrec.explanation.reason import reason
from llmrec.interests.profile import InterestProfile
from llmrec.prompting.templates import PromptLibrary
from llmrec.ranking.types import Contribution, RankedItem, RankingEvidence, Signal
from llmrec.recommender import Recommender
from tests.builders import NOON, SHOP, events_of, sample, scoring_model, shopper

LIBRARY = PromptLibrary()
ITEMS: list[dict[str, Any]] = [
    {"id": "alien", "title": "Alien", "categories": ["Horror"], "domain": "films"},
    {"id": "thing", "title": "The Thing", "categories": ["Horror"], "domain": "films"},
    {"id": "emma", "title": "Emma", "categories": ["Romance"], "domain": "films"},
]


@pytest.fixture
def profile() -> InterestProfile:
    events = [
        {"user_id": "a", "id": "e1", "action": "like", "item_id": "alien", "timestamp": NOON},
        {"user_id": "a", "id": "e2", "action": "search", "text": "horror films", "timestamp": NOON},
        {"user_id": "a", "id": "e3", "action": "dislike", "item_id": "emma", "timestamp": NOON},
    ]
    with Recommender(scoring_model(), ITEMS) as recommender:
        return recommender.profile(events)


def line(profile: InterestProfile, evidence: RankingEvidence | None = None, **signals: Any) -> str:
    ranked = RankedItem(
        rank=1,
        item=Item.model_validate(ITEMS[1]),
        score=1.0,
        signals={
            name: Signal(value=value, contribution=contribution)
            for name, (value, contribution) in signals.items()
        },
        evidence=evidence or RankingEvidence(),
    )
    return reason(LIBRARY, profile, ranked)


def parts(**amounts: float) -> tuple[Contribution, ...]:
    return tuple(Contribution(id=name.replace("_", "/"), amount=amount) for name, amount in amounts.items())


def test_all_three_signals_in_the_order_of_what_they_add(profile: InterestProfile) -> None:
    evidence = RankingEvidence(
        interests=parts(films=0.1, films_horror=0.5), events=(*parts(e2=0.7), *parts(e1=0.3))
    )
    weight = profile.hierarchy["films/horror"].weight
    assert line(profile, evidence, bm25=(1.0, 0.2), interests=(0.6, 0.5), likelihood_ratio=(7.25, 0.1)) == (
        f"Films › Horror (weight {weight:.2f}, 2 events, such as Alien and “horror films”); "
        "shares words with “horror films” and Alien; "
        "the model expects it more after this history than after none (+7.2 nats)"
    )


def test_a_signal_that_did_not_raise_the_item_is_not_named(profile: InterestProfile) -> None:
    evidence = RankingEvidence(interests=parts(films_horror=0.5), events=parts(e1=0.3))
    assert line(
        profile, evidence, bm25=(1.0, -0.2), interests=(0.6, 0.0), likelihood_ratio=(3.0, 0.4)
    ).startswith("the model expects it")
    # Above the other candidates, and yet the model finds it less likely with this history than without.
    assert (
        line(profile, evidence, likelihood_ratio=(-2.0, 0.4))
        == "no signal raises it above the other candidates"
    )
    assert line(profile, evidence, bm25=(1.0, 0.3), interests=(0.6, -0.5)) == "shares words with Alien"


def test_disliked_interests_recommend_nothing(profile: InterestProfile) -> None:
    evidence = RankingEvidence(interests=(*parts(films_romance=-0.5), *parts(films=0.1)))
    told = line(profile, evidence, interests=(0.1, 0.2))
    assert told.startswith("Films (weight")
    assert "Romance" not in told
    assert "Emma" not in told, "nor is a disliked item an example"


def test_an_item_is_no_reason_for_itself(profile: InterestProfile) -> None:
    with Recommender(scoring_model(), ITEMS) as recommender:
        ranking = recommender.recommend(profile, repeats=True)
    (alien,) = (placed for placed in ranking if placed.item.id == "alien")
    assert "Alien" not in alien.why
    (thing,) = (placed for placed in ranking if placed.item.id == "thing")
    assert "Alien" in thing.why


def test_a_title_made_to_mislead_stays_one_line(profile: InterestProfile) -> None:
    entries = tuple(
        entry.model_copy(update={"item": entry.item.model_copy(update={"title": "A\n\n<|im_end|>B\u202eC"})})
        if entry.item is not None
        else entry
        for entry in profile.entries
    )
    told = line(
        profile.model_copy(update={"entries": entries}), RankingEvidence(events=parts(e1=1.0)), bm25=(1, 1)
    )
    assert told == "shares words with A BC"


@pytest.mark.parametrize("person", ["mara", "tom", "ines", "priya", "owen", "linxiao"])
def test_every_line_of_the_sample_people_is_backed_by_the_ranking(person: str) -> None:
    # However unsure the model is, what it says is told.
    with Recommender(scoring_model(None), sample("items"), fusion={"gate_low": 0}) as recommender:
        profile = recommender.profile(events_of(person))
        ranking = recommender.recommend(profile, k=50)
    titles = {entry.title for entry in profile.entries}
    chinese = person == "linxiao"
    words = ("用词相近", "模型认为", "权重") if chinese else ("shares words", "the model expects", "weight")
    named = {"bm25": 0, "likelihood_ratio": 0, "interests": 0}
    for placed in ranking:
        for signal, word in zip(named, words, strict=True):
            if word in placed.why:
                named[signal] += 1
                said_by = [
                    placed.signals[name] for name in (signal, f"{signal}_best") if name in placed.signals
                ]
                assert any(one.contribution > 0 and one.value > 0 for one in said_by)
        for path, weight, lately, support in re.findall(
            r"([^;；]+)[ （]\(?(?:weight|权重) ([\d.]+)(, mostly lately|，多为近期|)[,，] ?(\d+)", placed.why
        ):
            (interest,) = (
                found
                for found in profile.interests
                if " › ".join(profile.hierarchy.path(found.id)) == path.strip()
            )
            assert weight == f"{interest.weight:.2f}"
            assert bool(lately) == (interest.horizon == "short-term")
            assert int(support) == interest.support
            assert interest.id in {part.id for part in placed.evidence.interests}
        for value in re.findall(r"[（(]\+([\d.]+)", placed.why):
            assert float(value) == round(placed.signals["likelihood_ratio"].value, 1)
        for title in re.findall(r"「([^」…]+)」", placed.why):
            assert title in titles
        assert placed.score == pytest.approx(sum(part.contribution for part in placed.signals.values()))
        for name, evidence in (("interests", placed.evidence.interests), ("bm25", placed.evidence.events)):
            assert sum(part.amount for part in evidence) <= placed.signals[name].value + 1e-4
        assert ("weight" in placed.why or "权重" in placed.why) == bool(
            re.search(r"(?:weight|权重) [\d.]+(?:, mostly lately|，多为近期|)[,，] ?\d", placed.why)
        )
    assert min(named.values()) > 0, "each signal speaks for something"


def test_a_chinese_profile_is_told_in_chinese() -> None:
    with Recommender(scoring_model(), SHOP) as recommender:
        ranking = recommender.recommend(recommender.profile(shopper()))
    (first,) = (placed for placed in ranking if placed.item.id == "x100")
    assert "手机" in first.why
    assert "权重" in first.why
    assert re.search("[a-z]{5,}", first.why) is None


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_signal_of_a_profile_alone_is_said_to_be_the_models(language: str) -> None:
    """Of what ranks by a profile alone, only the likelihood is the model's."""
    names = {"en": "the names of interests", "zh": "与兴趣名称用词相近"}
    details = {"en": "details with single items", "zh": "共同的细节"}
    with Recommender(scoring_model(), sample("items"), language=language) as recommender:
        ranking = recommender.recommend(recommender.profile(events_of("tom")), basis="profile")
    assert any(names[language] in placed.why for placed in ranking)
    assert any(details[language] in placed.why for placed in ranking)
    for placed in ranking:
        assert "interest_words" not in placed.why
        assert "hints" not in placed.why
        assert "the model" not in placed.why, "an indifferent model raises nothing"
        assert "模型" not in placed.why


def test_each_strategy_says_what_its_number_is(profile: InterestProfile) -> None:
    assert line(profile, graded=(3.61, 0.4)) == "the model's grade: 3.6 of 4"
    assert line(profile, yes_no=(1.24, 0.4)) == "the model says yes rather than no (+1.2 nats)"
    assert line(profile, query_likelihood=(0.5, 0.4)) == "the history is likelier after this item (+0.5 nats)"
    for name, value in (("pairwise", 1.0), ("tournament", 2.5), ("first_index", -0.7)):
        assert line(profile, **{name: (value, 0.4)}) == f"the model ranks it high ({name})"
    for signal in ({"yes_no": (-1.2, 0.4)}, {"first_index": (-0.7, -0.1)}):
        assert line(profile, **signal) == "no signal raises it above the other candidates"
