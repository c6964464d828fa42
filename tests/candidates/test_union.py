"""Candidates from several sources."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.candidates.co_occurrence import CoOccurrence
from llmrec.candidates.log import InteractionLog
from llmrec.candidates.union import CandidateSource, ScoredSource, best_places, proposed_by, union


def test_sources_take_turns() -> None:
    proposals = {"bm25": [1, 2, 3, 4], "popularity": [2, 1, 9], "empty": []}
    assert union(proposals, 10) == [1, 2, 3, 9, 4]
    assert union(proposals, 3) == [1, 2, 3]
    assert union(proposals, 10, excluded=[2, 9]) == [1, 3, 4]
    assert union(proposals, 0) == []
    assert union({}, 5) == []


def test_who_proposed_what() -> None:
    proposals = {"bm25": [1, 2], "popularity": [2]}
    assert proposed_by(proposals, [2, 1, 7]) == {2: ("bm25", "popularity"), 1: ("bm25",), 7: ()}


places = st.lists(st.integers(0, 20), unique=True, max_size=10)


@given(st.dictionaries(st.sampled_from("abcd"), places), st.integers(0, 30), st.sets(st.integers(0, 20)))
def test_a_union_holds_each_source_fairly(proposals: dict, most: int, excluded: set) -> None:
    found = union(proposals, most, excluded=excluded)
    offered = {place for held in proposals.values() for place in held} - excluded
    assert len(found) == len(set(found)) == min(most, len(offered))
    assert set(found) <= offered
    for held in proposals.values():
        allowed = [place for place in held if place not in excluded]
        # After each round, a source's first so many proposals are all in.
        rounds = len(found) // max(1, len(proposals))
        assert set(allowed[:rounds]) <= set(found)


scores = st.lists(st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0, 3.0]), max_size=30)


@given(scores, st.integers(0, 35), st.sets(st.integers(0, 35)))
def test_best_places_are_those_of_sorting(values: list[float], k: int, excluded: set[int]) -> None:
    found = best_places(np.asarray(values, dtype=np.float32), k, excluded)
    allowed = [at for at, value in enumerate(values) if value > 0 and at not in excluded]
    assert found == sorted(allowed, key=lambda at: (-values[at], at))[:k]


def test_a_scored_source_proposes_what_scores_above_nothing() -> None:
    log = InteractionLog({"ana": ["a", "b", "c"], "leo": ["a", "b"]})
    source = ScoredSource("co_occurrence", CoOccurrence(log, ["a", "b", "c", "d"]).scores)
    assert isinstance(source, CandidateSource)
    assert source.propose([("a", 1.0)], 10) == [1, 2]
    assert source.propose([("a", 1.0)], 10, excluded={1}) == [2]
    assert source.propose([], 10) == []


def test_an_item_of_no_number_is_never_proposed() -> None:
    assert best_places(np.array([np.nan, 1.0], dtype=np.float32), 5) == [1]


@pytest.mark.parametrize("k", [0, -1])
def test_none_are_proposed_when_none_are_asked_for(k: int) -> None:
    assert best_places(np.array([1.0, 2.0], dtype=np.float32), k) == []
