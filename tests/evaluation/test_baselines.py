"""The baselines: what each says of a few items, by hand, and what is left out when something is missing."""

from __future__ import annotations

import math
import sys
from collections import Counter

import numpy as np
import pytest

from llmrec.behavior.events import Event
from llmrec.candidates.log import InteractionLog
from llmrec.evaluation.baselines import baselines, candidate_ids
from llmrec.evaluation.types import Material
from llmrec.ranking.fusion import z_scores
from tests.evaluation.made_systems import CATALOG, LOG, MATERIAL, query

ALL = ["random", "popularity", "bm25", "co-occurrence", "bm25+popularity+co-occurrence"]


def by_name(material=MATERIAL, **options):
    found, notes = baselines(material, **options)
    return {system.name: system for system in found}, notes


def test_all_stand_beside_a_run_with_a_log():
    systems, notes = by_name()
    assert list(systems) == ALL
    assert notes == ()
    for system in systems.values():
        scored = system.scores(query())
        assert len(scored.scores) == 4
        assert all(map(math.isfinite, scored.scores))
        assert scored.tokens == 0


def test_popularity_is_the_logarithm_of_people():
    assert by_name()[0]["popularity"].scores(query()).scores == pytest.approx(
        [math.log(3), math.log(4), math.log(2), 0.0], abs=1e-6
    )


def test_bm25_finds_words_of_liked_titles_alone():
    bm25 = by_name()[0]["bm25"]
    scores = bm25.scores(query(history=("a",))).scores
    assert scores[0] > 0
    assert scores[1:] == (0.0, 0.0, 0.0)
    assert bm25.scores(query(history=())).scores == (0.0,) * 4
    turned_down = Event(user_id="ana", action="dislike", item_id="a")
    asked = query().model_copy(update={"events": (turned_down,)})
    assert bm25.scores(asked).scores == (0.0,) * 4


def test_bm25_reads_chinese_and_own_words():
    said = Event(user_id="ana", action="search", text="茶壶")
    scores = by_name()[0]["bm25"].scores(query().model_copy(update={"events": (said,)})).scores
    assert np.argmax(scores) == 2


def test_bm25_reads_the_last_ten_titles():
    bm25 = by_name()[0]["bm25"]
    assert bm25.scores(query(history=("a", *"c" * 10))).scores[0] == 0.0
    assert bm25.scores(query(history=("a", *"c" * 9))).scores[0] > 0.0


def test_co_occurrence_knows_what_is_chosen_together():
    scores = by_name()[0]["co-occurrence"].scores(query(history=("a",))).scores
    assert scores[0] > scores[1] > 0
    assert scores[2:] == (0.0, 0.0)


def test_the_fusion_is_the_sum_of_z_scores():
    systems, _ = by_name()
    fused = systems["bm25+popularity+co-occurrence"].scores(query())
    parts = [systems[name].scores(query()).scores for name in ("bm25", "popularity", "co-occurrence")]
    assert fused.scores == pytest.approx(list(sum(z_scores(part) for part in parts)))
    assert fused.signals["popularity"] == parts[1]
    assert set(fused.signals) == {"bm25", "popularity", "co-occurrence"}


def test_without_a_log_bm25_stands_alone():
    systems, notes = by_name(Material(CATALOG, InteractionLog()))
    assert list(systems) == ["random", "bm25"]
    assert "no interaction log" in notes[0]


def test_without_scipy_co_occurrence_is_left_out(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    systems, notes = by_name()
    assert list(systems) == ["random", "popularity", "bm25", "bm25+popularity"]
    assert "pip install" in notes[0]


def test_the_random_order_is_drawn_anew_for_each_query_and_by_the_seed():
    drawn = by_name(seed=1)[0]["random"]
    assert drawn.scores(query("ana")).scores == drawn.scores(query("ana")).scores
    assert drawn.scores(query("ana")).scores != drawn.scores(query("ben")).scores
    assert drawn.scores(query("ana")).scores != by_name(seed=2)[0]["random"].scores(query("ana")).scores
    first = Counter(int(np.argmax(drawn.scores(query(f"u{at}")).scores)) for at in range(400))
    # Chi-square with 3 degrees of freedom: above 16.3 one time in a thousand.
    assert sum((first[place] - 100) ** 2 / 100 for place in range(4)) < 16.3


def test_the_whole_catalogue_less_the_history():
    asked = query(history=("a", "c"), candidates=())
    assert candidate_ids(asked, CATALOG) == ("b", "d", "e", "f")
    assert candidate_ids(query(candidates=("e", "b")), CATALOG) == ("e", "b")
    systems, _ = by_name()
    assert systems["popularity"].scores(asked).scores[0] == pytest.approx(math.log(3), abs=1e-6)
    fused = systems["bm25+popularity+co-occurrence"].scores(asked)
    assert len(fused.scores) == 4
    assert fused.signals == {}


def test_scores_follow_the_candidates_wherever_they_stand():
    for name, system in by_name()[0].items():
        there = dict(zip("bcde", system.scores(query()).scores, strict=True))
        back = dict(zip("edcb", system.scores(query(candidates="edcb")).scores, strict=True))
        if name != "random":
            assert there == pytest.approx(back)


def test_the_log_of_the_tests_is_what_the_hand_counted():
    assert LOG.counts == {"a": 2, "b": 2, "c": 3, "d": 1}
