"""Query likelihood: how much likelier what a person chose is after an item than after none."""

from __future__ import annotations

from typing import Any

import pytest

from llmrec.behavior.events import Event, Item
from llmrec.errors import ContextLengthError, ModelError, ModelUnavailableError
from llmrec.interests.profile import InterestProfile
from llmrec.llm.base import LanguageModel
from llmrec.ranking.base import ItemScores, RankingRequest
from llmrec.ranking.query_likelihood import QueryLikelihood
from tests.builders import interest, scoring_model, writing_model
from tests.profiles import profile_of
from tests.ranking.asking_models import LIBRARY


def person(count: int = 2, **fields: Any) -> InterestProfile:
    """Somebody who liked `Liked 0`, `Liked 1`, ... in this order."""
    items = [{"id": f"l{n}", "title": f"Liked {n}"} for n in range(count)]
    events = [Event(user_id="a", action="like", id=item["id"], item_id=item["id"]) for item in items]
    return profile_of(events, interest("films", *(event.id for event in events)), items=items, **fields)


def scored(
    model: LanguageModel, *names: str, profile: InterestProfile | None = None, **options: Any
) -> ItemScores:
    items = tuple(Item(id=name, title=name, categories=("Drama",)) for name in names)
    return QueryLikelihood(model, LIBRARY).score(RankingRequest(profile or person(), items, **options))


def test_the_score_is_the_mean_gain_over_what_was_chosen() -> None:
    gains = {("Moon", "Liked 0"): 4.0, ("Moon", "Liked 1"): 1.0, ("Rocks", "Liked 1"): -2.0}

    def score(prefix: str, continuation: str) -> float:
        item = next((name for name in ("Moon", "Rocks") if name in prefix), "")
        alone = {"Liked 0": -10.0, "Liked 1": -30.0}[continuation.strip()]
        return alone + gains.get((item, continuation.strip()), 0.0)

    found = scored(scoring_model(score), "Rocks", "Moon")
    assert found.scores == pytest.approx((-1.0, 2.5))
    assert found.signals == {"query_likelihood": found.scores}
    assert (found.notes, found.failures) == ((), ())


def test_the_prompt_shows_the_item_and_then_none() -> None:
    model = scoring_model()
    found = scored(model, "Moon")
    alone, given = model.history
    assert alone.prefix == "A person chose:\n-"
    assert given.prefix == "A person who chose Moon (Drama) also chose:\n-"
    assert alone.continuations == given.continuations == (" Liked 0", " Liked 1")
    assert set(found.prompts) == {"ranking/query.en"}


def test_the_last_five_are_asked_about_or_the_interests_or_the_words() -> None:
    model = scoring_model()
    scored(model, "Moon", profile=person(8))
    assert model.history[-1].continuations == tuple(f" Liked {n}" for n in range(3, 8))
    scored(model, "Moon", profile=person(8), basis="profile")
    assert model.history[-1].continuations == (" Films",)
    said = profile_of([Event(user_id="a", action="say", id="s", text="quiet films")])
    nothing_found = said.model_copy(update={"hierarchy": type(said.hierarchy)()})
    scored(model, "Moon", profile=nothing_found)
    assert model.history[-1].continuations == (" quiet films",)


def test_a_long_history_is_not_said_to_be_cut_when_the_last_five_fit() -> None:
    capabilities = scoring_model().capabilities.model_copy(update={"context_length": 60})
    model = scoring_model()
    model._capabilities = capabilities
    assert scored(model, "Moon", profile=person(20)).notes == ()


def test_what_was_chosen_and_does_not_fit_is_left_out_for_every_item() -> None:
    def score(prefix: str, continuation: str) -> float:
        if continuation.strip() in ("Liked 0", "Liked 1") and "Rocks" in prefix:
            raise ContextLengthError("too long", tokens=9, limit=5)
        return -1.0 - float(continuation.rpartition(" ")[2]) * ("chose:" not in prefix.split()[-2])

    model = scoring_model(score)
    found = scored(model, "Moon", "Rocks", profile=person(5))
    assert found.failures == ()
    assert found.notes == ("the model read all but the 2 oldest events, which do not fit its context",)
    by_prompt = {call.prefix: call.continuations for call in model.history}
    assert set(by_prompt.values()) == {(" Liked 2", " Liked 3", " Liked 4")}, "the last word on each"
    assert len(set(found.scores)) == 1


def test_an_item_that_fails_keeps_its_place_and_is_told() -> None:
    def score(prefix: str, continuation: str) -> float:
        if "Rocks" in prefix:
            raise ModelUnavailableError("the server is away")
        return -5.0 + ("Moon" in prefix)

    found = scored(scoring_model(score), "Dune", "Rocks", "Moon", first_scores=(3.0, 2.0, 1.0))
    (failure,) = found.failures
    assert (failure.what, failure.reason) == ("query_likelihood of Rocks", "the server is away")
    assert failure.stand_in == "its place in the earlier order"
    assert found.scores[2] > found.scores[1] > found.scores[0], "second before, and second still"


def test_without_the_measure_for_no_item_nothing_is_asked() -> None:
    def score(prefix: str, continuation: str) -> float:
        raise ModelUnavailableError("the server is away")

    model = scoring_model(score)
    with pytest.raises(ModelUnavailableError):
        scored(model, "Dune", "Moon")
    assert len(model.history) == 1


def test_a_model_that_gives_no_log_probabilities_cannot_do_it() -> None:
    with pytest.raises(ModelError, match="query_likelihood needs log-probabilities"):
        QueryLikelihood(writing_model(), LIBRARY)


@pytest.mark.embedded
def test_the_embedded_model_finds_what_goes_with_a_history(embedded_model: LanguageModel) -> None:
    liked = [{"id": t, "title": t, "categories": ["Horror"]} for t in ("Alien", "The Thing", "Halloween")]
    events = [Event(user_id="a", action="like", id=item["id"], item_id=item["id"]) for item in liked]
    items = (
        Item(id="1", title="The Shining", categories=("Horror",)),
        Item(id="2", title="Bread Baking at Home", categories=("Cookbooks",)),
    )
    request = RankingRequest(profile_of(events, items=liked), items)
    ranker = QueryLikelihood(embedded_model, LIBRARY)
    before = embedded_model.usage
    shining, bread = ranker.score(request).scores
    assert shining > bread + 0.5
    spent, told = embedded_model.usage - before, ranker.cost(request)
    assert spent.calls <= told.calls
    assert spent.prompt_tokens <= told.prompt_tokens
