"""Written paths become one set of paths: merged, placed, with ids, whatever order the parts came in."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec.interests.extraction import EventLabel, EventReading, ExtractionTools, PathStep
from llmrec.interests.open_paths import SettledPaths, clean_path, known_paths, settle_paths
from llmrec.llm.base import Capabilities
from llmrec.llm.scripted import ScriptedModel
from tests.builders import writing_model
from tests.interests.extraction_tools import tools_of
from tests.interests.test_kind_judges import places

# Neither writes what can be trusted nor scores: words alone place the labels.
MUTE = Capabilities(score=False, generate=True, structured="none", open_answers=False)
WORDS_ALONE = tools_of(ScriptedModel(capabilities=MUTE))


def path(*labels: str, ids: str = "") -> tuple[PathStep, ...]:
    given = ids.split() or [
        "/".join(label.casefold() for label in labels[:end]) for end in range(1, len(labels) + 1)
    ]
    return tuple(PathStep(step_id, label) for step_id, label in zip(given, labels, strict=True))


def settle(
    written: dict[tuple[str, ...], int],
    known: dict[tuple[PathStep, ...], int] | None = None,
    tools: ExtractionTools = WORDS_ALONE,
) -> SettledPaths:
    return settle_paths(written, known or {}, tools, {})


def labels_of(settled: SettledPaths, *written: str) -> tuple[str, ...]:
    return tuple(step.label for step in settled.steps[written])


def test_ids_follow_the_labels_and_stay_unique() -> None:
    settled = settle({("Films", "Sci-Fi"): 2, ("films", "SCI FI"): 1, ("Programming", "C++"): 1})
    assert (
        settled.steps["films", "SCI FI"]
        == settled.steps["Films", "Sci-Fi"]
        == path("Films", "Sci-Fi", ids="films films/sci-fi")
    )
    assert settled.steps["Programming", "C++"][-1].id == "programming/cplusplus"
    other = settle({("!!!",): 1, ("???",): 1})
    assert len({steps[-1].id for steps in other.steps.values()}) == 2


def test_a_top_label_that_is_known_deeper_goes_there_with_what_is_below_it() -> None:
    written = {("Films", "Science fiction"): 3, ("Science fiction", "Cyberpunk"): 1, ("Cyberpunk",): 1}
    settled = settle(written)
    assert labels_of(settled, "Science fiction", "Cyberpunk") == ("Films", "Science fiction", "Cyberpunk")


def test_a_top_label_that_is_known_at_two_places_stays() -> None:
    settled = settle({("Films", "Horror"): 1, ("Books", "Horror"): 1, ("Horror",): 1})
    assert labels_of(settled, "Horror") == ("Horror",)


def test_a_model_may_say_which_of_two_labels_is_meant() -> None:
    # Shown: 1 Books, 2 Books > Horror, 3 Films, 4 Films > Horror, 5 Horror.
    model = writing_model(places((1, 0, []), (3, 0, []), (5, 4, [])))
    written = {("Films", "Horror"): 1, ("Books", "Horror"): 1, ("Horror", "Slashers"): 1}
    settled = settle(written, tools=tools_of(model))
    assert labels_of(settled, "Horror", "Slashers") == ("Films", "Horror", "Slashers")


def test_the_model_places_labels_at_the_top() -> None:
    # Shown: 1 Cyberpunk, 2 Films, 3 Films > Science fiction, 4 Noir.
    model = writing_model(places((1, 3, []), (2, 0, []), (4, 2, [3])))
    written = {("Films", "Science fiction"): 2, ("Cyberpunk",): 1, ("Noir",): 1}
    settled = settle(written, tools=tools_of(model))
    assert labels_of(settled, "Cyberpunk") == ("Films", "Science fiction", "Cyberpunk")
    assert labels_of(settled, "Noir") == ("Films", "Noir")
    assert settled.broader == {"films/noir": ("films/science-fiction",)}
    assert settled.notes == []


def test_a_note_says_when_the_model_placed_nothing() -> None:
    settled = settle({("Films",): 1, ("Indie films",): 1}, tools=tools_of(writing_model(*["No."] * 4)))
    assert labels_of(settled, "Indie films") == ("Films", "Indie films")
    assert "no usable answer" in settled.notes[0]


def test_one_top_alone_is_not_asked_about() -> None:
    model = writing_model()
    settle({("Films", "Drama"): 1, ("Films", "Horror"): 2}, tools=tools_of(model))
    assert model.history == []


def test_siblings_of_which_one_is_broader_are_put_below_each_other() -> None:
    settled = settle(
        {("Hobbies", "Games"): 1, ("Hobbies", "Indie games"): 1, ("Hobbies", "Indie games", "Hades"): 1}
    )
    assert labels_of(settled, "Hobbies", "Indie games", "Hades") == (
        "Hobbies",
        "Games",
        "Indie games",
        "Hades",
    )


def test_known_paths_keep_labels_and_ids_and_take_new_ones_below_them() -> None:
    known = {path("Movies", "SF", ids="m x1"): 4}
    settled = settle({("movie", "S.F."): 9, ("Movies", "Drama"): 1, ("sf", "Dystopia"): 1}, known)
    assert settled.steps["movie", "S.F."][0] == PathStep("m", "Movies")
    assert settled.steps["Movies", "Drama"] == path("Movies", "Drama", ids="m m/drama")
    assert settled.steps["sf", "Dystopia"] == path("Movies", "SF", "Dystopia", ids="m x1 x1/dystopia")


def test_known_labels_are_never_asked_about() -> None:
    model = writing_model()
    known = {path("Films"): 1, path("Games"): 1}
    settle({("Films", "Drama"): 1}, known, tools_of(model))
    assert model.history == []


def test_paths_are_cleaned() -> None:
    assert clean_path(["Films\u0007", "  Science \n fiction ", "science-fiction", "Cyberpunk"]) == (
        "Films",
        "Science fiction",
        "Cyberpunk",
    )


def test_known_paths_are_counted_by_events() -> None:
    films, drama = path("Films"), path("Films", "Drama")
    readings = [
        EventReading(labels=(EventLabel(films, 1.0), EventLabel(drama, 0.5))),
        EventReading(labels=(EventLabel(drama, 0.5), EventLabel(drama, 0.2, negative=True))),
        EventReading(),
    ]
    assert known_paths(readings) == {films: 1, drama: 2}


@pytest.mark.parametrize("depth", [1, 3, 4])
def test_no_path_grows_deeper_than_four(depth: int) -> None:
    deep = ("A", "B", "C", "Science fiction")
    under = ("Science fiction", "X", "Y", "Z")[:depth]
    settled = settle({deep: 1, under: 1})
    assert all(len(steps) <= 4 for steps in settled.steps.values())
    assert settled.steps[under][-1].label == under[-1]


label = st.sampled_from(
    ["Films", "film", "Indie films", "Sci-Fi", "sci fi", "Science fiction", "科幻", "科幻片", "!", "?"]
)
written_paths = st.dictionaries(
    st.lists(label, min_size=1, max_size=4).map(clean_path), st.integers(1, 4), min_size=1, max_size=8
)
standing = st.lists(
    st.lists(st.sampled_from(["Films", "Noir", "科幻", "Sci-Fi"]), min_size=1, max_size=3, unique=True),
    max_size=3,
)


@settings(max_examples=60)
@given(written_paths, standing, st.randoms(use_true_random=False))
def test_every_path_settles_in_one_tree_in_any_order(
    written: dict[tuple[str, ...], int], known: list[list[str]], chance: random.Random
) -> None:
    fixed: dict[tuple[PathStep, ...], int] = {path(*labels): 1 for labels in known}
    settled = settle(written, fixed)
    assert set(settled.steps) == set(written)
    parents: dict[str, Any] = {}
    names: dict[str, str] = {}
    for steps in [*settled.steps.values(), *fixed]:
        assert 1 <= len(steps) <= 4
        for at, step in enumerate(steps):
            above = steps[at - 1].id if at else None
            assert parents.setdefault(step.id, above) == above
            assert names.setdefault(step.id, step.label) == step.label
    for steps in fixed:
        assert settle({tuple(step.label for step in steps): 1}, fixed).steps == {
            tuple(step.label for step in steps): steps
        }
    shuffled = list(written.items())
    chance.shuffle(shuffled)
    assert settle(dict(shuffled), fixed) == settled
