"""The likelihood ratio: against a neutral prior, item by item, within the model's context."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from llmrec.behavior.events import Item
from llmrec.errors import ContextLengthError
from llmrec.llm.base import LanguageModel
from llmrec.llm.llama_cpp import LlamaCppModel
from llmrec.prompting.templates import PromptLibrary
from llmrec.ranking.context import ItemLine, PersonContext
from llmrec.ranking.likelihood import likelihood_ratios
from llmrec.recommender import Recommender
from tests.builders import DAY, NOON, events_of, sample, scoring_model

LIBRARY = PromptLibrary()
PERSON = PersonContext(
    interests=("Science fiction",),
    words=("slow films",),
    items=(ItemLine("Alien", "Horror"), ItemLine("Solaris", "Science fiction")),
)


def ratios(model: LanguageModel, items: list[Item], person: PersonContext = PERSON) -> list[float]:
    return likelihood_ratios(model, LIBRARY, "en", person, items, lambda done, total: None)[0]


def titles(*texts: str) -> list[Item]:
    return [Item(id=text, title=text) for text in texts]


def test_the_prior_takes_away_the_taste_for_common_titles() -> None:
    known = {"The Beatles": (-4.0, -3.0), "Obscure Quartet": (-30.0, -45.0)}

    def score(prefix: str, continuation: str) -> float:
        given, alone = known[continuation.strip()]
        return given if "Solaris" in prefix else alone

    common, obscure = ratios(scoring_model(score), titles(*known))
    assert common == pytest.approx(-4.0 + 3.0)
    assert obscure == pytest.approx(-30.0 + 45.0)


def test_the_prompt_shows_the_person_and_the_neutral_one_nobody() -> None:
    model = scoring_model()
    ratios(model, [Item(id="1", title="Moon", categories=("Drama", "Space"))])
    given, alone = model.history
    assert given.continuations == alone.continuations == (" Moon (Drama, Space)",)
    assert given.prefix == (
        "A person is interested in Science fiction.\nIn their own words: slow films\n"
        "Things this person chose and liked:\n- Alien (Horror)\n- Solaris (Science fiction)\n-"
    )
    assert alone.prefix == "Things this person chose and liked:\n-"


def test_a_context_that_is_too_short_loses_the_oldest_first() -> None:
    def score(prefix: str, continuation: str) -> float:
        if len(prefix) > 200:
            raise ContextLengthError("too long", tokens=len(prefix), limit=200)
        return -1.0

    person = PersonContext(
        (), ("said first", "said last"), tuple(ItemLine(f"Film {n}", "") for n in range(20))
    )
    model = scoring_model(score)
    _, _, (note,) = likelihood_ratios(model, LIBRARY, "en", person, titles("Moon"), lambda done, total: None)
    shown = model.history[-2].prefix
    assert "Film 19" in shown
    assert "Film 0\n" not in shown
    left_out = 20 - shown.count("- Film")
    assert note == f"the model read all but the {left_out} oldest events, which do not fit its context"


def test_a_context_for_not_even_one_item_is_an_error() -> None:
    def score(prefix: str, continuation: str) -> float:
        raise ContextLengthError("too long", tokens=9, limit=1)

    with pytest.raises(ContextLengthError):
        ratios(scoring_model(score), titles("Moon"))


def test_progress_reaches_the_end_in_steps() -> None:
    seen: list[tuple[int, int]] = []
    items = titles(*(f"Film {number}" for number in range(40)))
    likelihood_ratios(
        scoring_model(), LIBRARY, "en", PERSON, items, lambda done, total: seen.append((done, total))
    )
    assert seen == [(32, 80), (40, 80), (72, 80), (80, 80)]


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
    horror = PersonContext((), (), tuple(ItemLine(t, "Horror") for t in ("Alien", "The Thing", "Halloween")))
    cooking = PersonContext((), (), tuple(ItemLine(t, "Cookbooks") for t in ("Plenty", "Salt, Fat, Acid")))
    items = [
        Item(id="1", title="The Shining", categories=("Horror",)),
        Item(id="2", title="Bread", categories=("Cookbooks",)),
    ]
    for person, liked, other in ((horror, 0, 1), (cooking, 1, 0)):
        values = ratios(embedded_model, items, person)
        assert values[liked] > values[other] + 1


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
    assert [placed.item.id for placed in ranking] == ["item-20", "item-21"]
    assert any("oldest events, which do not fit its context" in note for note in ranking.notes)
    assert "likelihood_ratio" in ranking[0].signals
