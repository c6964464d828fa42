"""Which items of a catalogue are considered: from every source in turns, then the rest in order."""

from __future__ import annotations

from typing import Any

import pytest

from llmrec.behavior.events import Event
from llmrec.candidates.log import InteractionLog
from llmrec.interests.profile import InterestProfile
from llmrec.ranking.candidate_choice import choose_candidates
from llmrec.ranking.signals import SignalSources
from tests.builders import SHOP, interest
from tests.interests.extraction_tools import ToldEmbedder
from tests.profiles import profile_of
from tests.ranking.test_lexical import ITEMS, told
from tests.ranking.test_lexical import profile_of as profile_of_what
from tests.ranking.test_signals import ITEMS as THINGS
from tests.ranking.test_signals import NEAR, person, sources_of


def chosen(
    sources: SignalSources, profile: InterestProfile, most: int, *excluded: str, **options: Any
) -> list[str]:
    found = choose_candidates(
        sources,
        profile,
        options.get("basis", "both"),
        allowed=options.get("allowed", range(len(sources.catalog))),
        excluded=set(excluded),
        most=most,
        progress=options.get("progress", lambda done, total: None),
    )
    return [item.id for item in found]


def test_words_and_interests_take_turns_and_the_rest_follows() -> None:
    profile = profile_of(
        [Event.model_validate(event) for event in told(("search", "something grand"))],
        interest("films", "e1", weight=0.6),
        interest("films/horror", "e1", weight=0.5),
        items=ITEMS,
    )
    sources = sources_of(ITEMS)
    assert chosen(sources, profile, 1) == ["hotel"], "the only one with the word"
    assert chosen(sources, profile, 2) == ["hotel", "alien"], "then the interest in horror"
    assert chosen(sources, profile, 99) == ["hotel", "alien", "shining", "plenty"]
    assert chosen(sources, profile, 1, "hotel") == ["alien"]


def test_what_is_not_allowed_is_not_taken_even_to_fill_up() -> None:
    profile = profile_of_what(("search", "a grand hotel"))
    sources = sources_of(ITEMS)
    assert chosen(sources, profile, 99, allowed=[0, 3]) == ["alien", "plenty"]
    assert chosen(sources, profile, 99, "plenty", allowed=[0, 3]) == ["alien"]
    assert chosen(sources, profile, 99, allowed=[]) == []
    assert chosen(sources, profile, 99, *(item["id"] for item in ITEMS)) == []


def test_meaning_proposes_what_no_word_does() -> None:
    sources = sources_of(embedder=ToldEmbedder(NEAR))
    assert chosen(sources, person("ship"), 2, "ship", "ship2", "garden") == ["boat", "oven"]
    assert chosen(sources_of(), person("ship"), 1, "ship", "ship2", "garden") == ["boat"], "the first left"
    chinese = person("mi14", records=SHOP, language="zh")
    shop = sources_of(SHOP, embedder=ToldEmbedder({"vivo": [1.0]}))
    assert "x100" in chosen(shop, chinese, 3, "mi14"), "by its words alone"


def test_other_people_propose_what_they_chose_beside() -> None:
    log = InteractionLog({f"p{n}": ["ship", "oven"] for n in range(25)})
    sources = sources_of(log=log)
    assert "oven" in chosen(sources, person("ship"), 2, "ship", "ship2")
    assert chosen(sources, person("ship"), 2, "ship", "ship2", basis="profile") == ["boat", "garden"]


def test_of_nobody_what_many_chose_comes_first_and_else_the_catalogues_order() -> None:
    log = InteractionLog({f"p{n}": ["ship", "oven"] if n else ["oven", "garden"] for n in range(25)})
    assert chosen(sources_of(log=log), person(), 4) == ["oven", "ship", "garden", "boat"]
    assert chosen(sources_of(), person(), 3) == [item["id"] for item in THINGS[:3]]


def test_the_profile_alone_proposes_by_the_names_of_interests() -> None:
    profile = profile_of(
        [Event.model_validate(event) for event in told(("like", "plenty"))],
        interest("films", "e1", weight=0.6),
        interest("films/horror", "e1", weight=0.5),
        items=ITEMS,
    )
    ids = chosen(sources_of(ITEMS), profile, 2, basis="profile")
    assert set(ids) == {"alien", "shining"}, "the history is of a cookbook, the interest is in horror"


@pytest.mark.parametrize("most", [1, 2, 3, 5])
def test_as_many_as_asked_for_each_once(most: int) -> None:
    sources = sources_of(embedder=ToldEmbedder(NEAR))
    found = chosen(sources, person("garden", "ship"), most)
    assert len(found) == len(set(found)) == most


def test_progress_is_told_as_the_catalogue_is_read() -> None:
    records = [{"id": f"i{n}", "title": f"Title {n}"} for n in range(1100)]
    seen: list[tuple[int, int]] = []
    profile = person("i3", records=records)
    chosen(sources_of(records), profile, 5, progress=lambda done, total: seen.append((done, total)))
    assert seen
    assert {total for _, total in seen} == {1100}
    assert (1000, 1100) in seen
