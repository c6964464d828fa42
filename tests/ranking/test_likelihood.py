"""The likelihood ratio: against a neutral prior, item by item, within the model's context."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmrec.behavior.events import Event, Item
from llmrec.errors import ContextLengthError, InputError, ModelUnavailableError
from llmrec.interests.profile import InterestProfile
from llmrec.llm.base import LanguageModel
from llmrec.llm.llama_cpp import LlamaCppModel
from llmrec.llm.priors import Priors
from llmrec.llm.scripted import ScriptedModel
from llmrec.prompting.templates import PromptLibrary
from llmrec.ranking.base import ItemScores, RankingRequest
from llmrec.ranking.likelihood import CHUNK, LikelihoodRatio
from llmrec.recommender import Recommender
from tests.builders import DAY, NOON, SCORES_ONLY, events_of, indifferent, interest, sample, scoring_model
from tests.profiles import profile_of

LIBRARY = PromptLibrary()
LIKED = [
    {"id": "l1", "title": "Alien", "categories": ["Horror"]},
    {"id": "l2", "title": "Solaris", "categories": ["Science fiction"]},
]


def person(*liked: dict[str, Any], said: str = "", interests: tuple[str, ...] = ()) -> InterestProfile:
    """Somebody who liked these items, in this order, and said something."""
    records = liked or tuple(LIKED)
    events = [Event(user_id="a", action="like", id=item["id"], item_id=item["id"]) for item in records]
    if said:
        events.append(Event(user_id="a", action="say", id="s", text=said))
    found = [interest(name.casefold(), "l1", label=name) for name in interests]
    profile = profile_of(events, *found, items=records)
    return profile if found else profile.model_copy(update={"hierarchy": type(profile.hierarchy)()})


def scored(
    model: LanguageModel, items: list[Item], profile: InterestProfile | None = None, **options: Any
) -> ItemScores:
    request = RankingRequest(profile or person(), tuple(items))
    return LikelihoodRatio(model, LIBRARY, **options).score(request)


def titles(*texts: str) -> list[Item]:
    return [Item(id=text, title=text) for text in texts]


def test_the_prior_takes_away_the_taste_for_common_titles() -> None:
    known = {"The Beatles": (-4.0, -3.0), "Obscure Quartet": (-30.0, -45.0)}

    def score(prefix: str, continuation: str) -> float:
        given, alone = known[continuation.strip()]
        return given if "Solaris" in prefix else alone

    found = scored(scoring_model(score), titles(*known))
    assert found.scores == pytest.approx((-4.0 + 3.0, -30.0 + 45.0))
    assert found.signals == {"likelihood_ratio": found.scores}


def test_the_prompt_shows_the_person_and_the_neutral_one_nobody() -> None:
    model = scoring_model()
    profile = person(said="slow films", interests=("Science fiction",))
    found = scored(model, [Item(id="1", title="Moon", categories=("Drama", "Space"))], profile)
    given, alone = model.history
    assert given.continuations == alone.continuations == (" Moon (Drama, Space)",)
    assert given.prefix == (
        "A person is interested in Science fiction.\nIn their own words: slow films\n"
        "Things this person chose and liked:\n- Alien (Horror)\n- Solaris (Science fiction)\n-"
    )
    assert alone.prefix == "Things this person chose and liked:\n-"
    assert set(found.prompts) == {"ranking/history.en", "ranking/item.en"}


def test_several_prompts_are_averaged() -> None:
    def score(prefix: str, continuation: str) -> float:
        wording = 1.0 if "A customer" in prefix else 3.0
        return -9.0 + (wording if "Solaris" in prefix else 0.0)

    model = scoring_model(score)
    assert scored(model, titles("Moon"), prompts=("history", "basket")).scores == pytest.approx((2.0,))
    assert scored(model, titles("Moon"), prompts=("basket",)).scores == pytest.approx((1.0,))
    assert {call.prefix for call in model.history} >= {
        "A customer chose these, in this order:\n1. Alien (Horror)\n2. Solaris (Science fiction)\n3.",
        "A customer chose these, in this order:\n1.",
    }


@pytest.mark.parametrize("prompts", [(), ("history", "poem")])
def test_a_prompt_that_is_not_there_is_told(prompts: tuple[str, ...]) -> None:
    with pytest.raises(InputError, match="choose among history, basket"):
        LikelihoodRatio(scoring_model(), LIBRARY, prompts=prompts)


def test_a_context_that_is_too_short_loses_the_oldest_first() -> None:
    def score(prefix: str, continuation: str) -> float:
        if len(prefix) > 200:
            raise ContextLengthError("too long", tokens=len(prefix), limit=200)
        return -1.0

    model = scoring_model(score)
    liked = [{"id": f"l{n}", "title": f"Film {n}"} for n in range(20)]
    found = scored(model, titles("Moon"), person(*liked))
    shown = model.history[-2].prefix
    assert "Film 19" in shown
    assert "Film 0\n" not in shown
    left_out = 20 - shown.count("- Film")
    assert found.notes == (
        f"the model read all but the {left_out} oldest events, which do not fit its context",
    )


def test_all_items_are_scored_after_one_and_the_same_history() -> None:
    """The second part of the items does not fit beside what the first part was scored with."""

    def score(prefix: str, continuation: str) -> float:
        if "Film 0\n" in prefix and "long" in continuation:
            raise ContextLengthError("too long", tokens=9, limit=5)
        return -float(prefix.count("- Film"))

    liked = [{"id": f"l{n}", "title": f"Film {n}"} for n in range(8)]
    items = titles(*(f"Item {n}" for n in range(CHUNK)), "a long one")
    found = scored(scoring_model(score), items, person(*liked))
    assert found.scores == pytest.approx([-4.0] * (CHUNK + 1))
    assert found.failures == ()


def test_a_context_for_not_even_one_item_is_an_error() -> None:
    def score(prefix: str, continuation: str) -> float:
        raise ContextLengthError("too long", tokens=9, limit=1)

    with pytest.raises(ContextLengthError):
        scored(scoring_model(score), titles("Moon"))


def test_what_holds_for_nobody_is_asked_once_for_all_people(tmp_path: Path) -> None:
    capabilities = SCORES_ONLY.model_copy(update={"weights_known": True})
    model = ScriptedModel(scores=indifferent, capabilities=capabilities)
    priors = Priors(model, tmp_path)
    try:
        for liked in (LIKED[:1], LIKED[1:]):
            scored(model, titles("Moon", "Dune"), person(*liked), priors=priors)
    finally:
        priors.close()
    neutral = [call for call in model.history if call.prefix == "Things this person chose and liked:\n-"]
    assert len(neutral) == 1
    assert len(model.history) == 3


def test_a_part_that_fails_keeps_its_place_and_is_told() -> None:
    def score(prefix: str, continuation: str) -> float:
        if continuation.strip() == f"Item {CHUNK}":
            raise ModelUnavailableError("the server is away")
        return -1.0 - (float(continuation.rpartition(" ")[2]) if "Solaris" in prefix else 0.0)

    items = titles(*(f"Item {n}" for n in range(CHUNK + 2)))
    first = tuple(float(n) for n in range(CHUNK + 2))
    request = RankingRequest(person(), tuple(items), first_scores=first)
    found = LikelihoodRatio(scoring_model(score), LIBRARY).score(request)
    # By the scores before, the last items stood first; the first of the parts holds the 32 best of them.
    (failure,) = found.failures
    assert failure.reason == "the server is away"
    assert f"Item {CHUNK}" in failure.what
    order = sorted(range(len(items)), key=lambda at: -found.scores[at])
    assert order == [*range(CHUNK + 1, 1, -1), 0, 1], "only those two were told apart"


@pytest.mark.embedded
def test_the_order_of_candidates_changes_nothing(embedded_model: LanguageModel) -> None:
    items = [Item.model_validate(record) for record in sample("items")[::12][:20]]
    shuffled = random.Random(7).sample(items, len(items))
    with Recommender(embedded_model, sample("items"), labelled_by_model=0) as recommender:
        profile = recommender.profile(events_of("ines"))
        first = recommender.recommend(profile, candidates=items, k=20)
    # A store of its own, so that the second ranking is scored anew.
    with Recommender(embedded_model, sample("items"), labelled_by_model=0) as recommender:
        second = recommender.recommend(profile, candidates=shuffled, k=20)
    assert second.usage.calls > 0
    assert [placed.item.id for placed in first] == [placed.item.id for placed in second]
    for one, other in zip(first, second, strict=True):
        assert one.score == pytest.approx(other.score, abs=0.02)
        ratio = one.signals["likelihood_ratio"].value
        assert ratio == pytest.approx(other.signals["likelihood_ratio"].value, abs=0.1)


@pytest.mark.embedded
def test_history_matters_to_the_embedded_model(embedded_model: LanguageModel) -> None:
    horror = [{"id": t, "title": t, "categories": ["Horror"]} for t in ("Alien", "The Thing", "Halloween")]
    cooking = [{"id": t, "title": t, "categories": ["Cookbooks"]} for t in ("Plenty", "Salt, Fat, Acid")]
    items = [
        Item(id="1", title="The Shining", categories=("Horror",)),
        Item(id="2", title="Bread", categories=("Cookbooks",)),
    ]
    for liked, best, other in ((horror, 0, 1), (cooking, 1, 0)):
        for prompts in (("history",), ("history", "basket")):
            values = scored(embedded_model, items, person(*liked), prompts=prompts).scores
            assert values[best] > values[other] + 1


@pytest.fixture(scope="module")
def short_model(prepared_gguf: Path) -> Iterator[LlamaCppModel]:
    model = LlamaCppModel(prepared_gguf, context_length=512, threads=1)
    yield model
    model.close()


@pytest.mark.embedded
def test_a_history_longer_than_the_context_loses_the_oldest_with_a_note(short_model: LlamaCppModel) -> None:
    items = [
        {
            "id": f"item-{number:02}",
            "title": f"Number {number} of a series with a title that goes on and on " + "and on " * 30,
            "description": "A very long description of the thing. " * 2700,
            "categories": ["Science fiction"],
        }
        for number in range(22)
    ]
    events = [
        {"user_id": "a", "action": "like", "item_id": item["id"], "timestamp": NOON + at * DAY}
        for at, item in enumerate(items[:20])
    ]
    with Recommender(short_model, items, labelled_by_model=2) as recommender:
        profile = recommender.profile(events)
        ranking = recommender.recommend(profile)
    assert len(profile.entries) == 20
    assert {placed.item.id for placed in ranking} == {"item-20", "item-21"}
    assert any("oldest events, which do not fit its context" in note for note in ranking.notes)
    assert "likelihood_ratio" in ranking[0].signals
