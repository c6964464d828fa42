"""Popularity: people, not interactions."""

from __future__ import annotations

import math

import pytest

from llmrec.candidates.log import InteractionLog
from llmrec.candidates.popularity import Popularity


def test_scores_are_the_logarithm_of_people() -> None:
    log = InteractionLog({"ana": ["a", "b", "a"], "leo": ["a", "x"], "kim": ["a"]})
    scores = Popularity(log, ["b", "a", "c"]).scores()
    assert scores.tolist() == pytest.approx([math.log(2), math.log(4), 0.0])


def test_what_is_handed_out_cannot_be_changed() -> None:
    scores = Popularity(InteractionLog({"ana": ["a"]}), ["a"]).scores()
    with pytest.raises(ValueError, match="read-only"):
        scores[0] = 5
