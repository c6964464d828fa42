"""The whole way through a real server on loopback gives the kinds of answers that it gives in the process."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmrec import Event, Item, Ranking, Recommender
from llmrec.interests.profile import InterestProfile
from llmrec.llm.base import LanguageModel

ITEMS = [
    Item(id="alien", title="Alien", categories=("Horror",), domain="films"),
    Item(id="arrival", title="Arrival", categories=("Science fiction",), domain="films"),
    Item(id="solaris", title="Solaris", categories=("Science fiction",), domain="films"),
    Item(id="plenty", title="Plenty", categories=("Cookbooks",), domain="books"),
]
EVENTS = [
    Event(user_id="ana", item_id="arrival", action="rate", value=5),
    Event(user_id="ana", text="quiet science fiction films", action="say"),
]


def run(model: str | LanguageModel, cache_dir: Path) -> tuple[InterestProfile, Ranking]:
    with Recommender(
        model, ITEMS, strategy="anchored", labelled_by_model=1, cache_dir=cache_dir
    ) as recommender:
        profile = recommender.profile(EVENTS)
        return profile, recommender.recommend(profile, k=3)


@pytest.mark.server
@pytest.mark.embedded
def test_the_same_people_get_the_same_kinds_of_answers(
    openai_server: str, embedded_model: LanguageModel, tmp_path: Path
) -> None:
    here, ranked_here = run(embedded_model, tmp_path)
    there, ranked_there = run(f"openai:smollm2@{openai_server}", tmp_path)
    top = "films/science-fiction"
    assert here.hierarchy[top].support == there.hierarchy[top].support == 2
    assert there.hierarchy[top].weight == pytest.approx(here.hierarchy[top].weight, abs=0.05)
    assert [placed.item.id for placed in ranked_there] == [placed.item.id for placed in ranked_here]
    assert ranked_there[0].item.id == "solaris"
    for one, other in zip(ranked_here, ranked_there, strict=True):
        # The server cuts the texts into tokens its own way, and its weights are of another precision.
        assert other.signals["likelihood_ratio"].value == pytest.approx(
            one.signals["likelihood_ratio"].value, rel=0.3
        )
        assert other.signals["bm25"].value == pytest.approx(one.signals["bm25"].value)
    assert there.usage.calls + ranked_there.usage.calls > 6
