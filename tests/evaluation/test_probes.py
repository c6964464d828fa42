"""The probes: what each changes and leaves, and what its figures are said to mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.behavior.events import Event
from llmrec.errors import InputError
from llmrec.evaluation.probes import (
    PROBES,
    QUESTIONS,
    ProbeFigures,
    checked_probes,
    probe_result,
    probed_people,
    rankings_changed,
    to_original,
    unchanged,
    with_candidates_shuffled,
    with_history_of_another,
    with_history_shuffled,
)
from llmrec.evaluation.types import Scored
from tests.evaluation.made_systems import CATALOG, query

QUERIES = [query(f"u{at}", history, "cdef") for at, history in enumerate(["ab", "ba", "abab", "a", ""])]


@given(seed=st.integers(0, 1000))
def test_a_shuffle_of_candidates_shuffles_and_changes_nothing_else(seed):
    for before, after in zip(QUERIES, with_candidates_shuffled(QUERIES, seed), strict=True):
        assert after.candidates != before.candidates
        assert sorted(after.candidates) == sorted(before.candidates)
        assert after.model_copy(update={"candidates": before.candidates}) == before


def test_what_cannot_be_shuffled_stays():
    for candidates in ("", "b"):
        asked = query(candidates=candidates)
        assert with_candidates_shuffled([asked], 0) == [asked]


@given(seed=st.integers(0, 1000))
def test_a_shuffled_history_keeps_moments_and_deeds(seed):
    for before, after in zip(QUERIES, with_history_shuffled(QUERIES, seed), strict=True):
        assert [e.timestamp for e in after.events] == [e.timestamp for e in before.events]
        assert sorted(e.item_id for e in after.events) == sorted(e.item_id for e in before.events)
        assert len({e.id for e in after.events}) == len(after.events)
        assert (after.id, after.candidates) == (before.id, before.candidates)


def test_a_history_is_really_shuffled():
    asked = query(history="abcdef", candidates="")
    orders = {tuple(e.item_id for e in with_history_shuffled([asked], s)[0].events) for s in range(40)}
    assert len(orders) > 30


def test_the_history_of_another_is_that_of_another():
    for before, after in zip(QUERIES, with_history_of_another(QUERIES, 0), strict=True):
        given_by = [q for q in QUERIES if [e.item_id for e in q.events] == [e.item_id for e in after.events]]
        assert any(q.user_id != before.user_id for q in given_by)
        assert {event.user_id for event in after.events} <= {before.user_id}
        assert (after.id, after.candidates) == (before.id, before.candidates)
    with pytest.raises(InputError, match="at least two people"):
        with_history_of_another(QUERIES[:1], 0)


def test_the_history_of_another_tells_nothing_of_the_candidates():
    pair = [query("ana", "a", "bc"), query("ben", "bcd", "a")]
    assert [event.item_id for event in with_history_of_another(pair, 0)[0].events] == ["d"]
    said = query("ben").model_copy(update={"events": (Event(user_id="ben", action="say", text="a boat"),)})
    assert with_history_of_another([pair[0], said], 0)[0].events[0].text == "a boat"


def test_the_same_seed_changes_alike():
    for change in (with_candidates_shuffled, with_history_shuffled, with_history_of_another, unchanged):
        assert change(QUERIES, 3) == change(QUERIES, 3)
    assert unchanged(QUERIES, 0) == QUERIES


def test_people_are_drawn_in_their_order():
    drawn = probed_people(QUERIES, 3, seed=1)
    assert len(drawn) == 3
    assert drawn == [q for q in QUERIES if q in drawn] == probed_people(QUERIES, 3, seed=1)
    assert probed_people(QUERIES, 9, seed=1) == QUERIES


def test_scores_go_back_to_the_order_of_the_original():
    original, changed = query(candidates="bcde"), query(candidates="edcb")
    back = to_original([original], CATALOG)
    scored = back(changed, Scored(scores=(5.0, 4.0, 3.0, 2.0), probabilities=(0.4, 0.3, 0.2, 0.1)))
    assert scored.scores == (2.0, 3.0, 4.0, 5.0)
    assert scored.probabilities is None
    whole = query("ana", "a", "")
    other = query("ana", "bc", "")
    put = to_original([whole], CATALOG)(other, Scored(scores=(1.0, 2.0, 3.0, 4.0)))
    # Of b, c, d, e, f the first two were not ranked.
    assert put.scores == (0.0, 0.0, 2.0, 3.0, 4.0)
    assert back(changed, Scored(scores=(1.0,))).scores == (1.0,)


def test_rankings_that_changed_are_counted():
    asked = [query("ana"), query("ben")]
    before = {"ana": Scored(scores=(4, 3, 2, 1)), "ben": Scored(scores=(4, 3, 2, 1))}
    after = {"ana": Scored(scores=(40, 30, 20, 10)), "ben": Scored(scores=(3, 4, 2, 1))}
    assert rankings_changed(before, after, asked, CATALOG) == 1
    assert rankings_changed(before, {}, asked, CATALOG) == 0
    # Rounding that differs between two runs is no other order.
    close = {"ana": Scored(scores=(4, 3.0000000001, 3, 1)), "ben": Scored(scores=(4, 3, 3.0000000001, 1))}
    assert rankings_changed({"ana": close["ana"]}, {"ana": close["ben"]}, asked, CATALOG) == 0


PEOPLE = [f"u{at}" for at in range(40)]
HIGH = [0.9 if at % 2 else 0.7 for at in range(40)]
LOW = [0.3 if at % 2 else 0.1 for at in range(40)]


def verdict(name, before, after, **fields):
    figures = ProbeFigures(before, after, PEOPLE, **fields)
    return probe_result(name, "mine", figures, metric="ndcg@10")


def test_a_result_holds_the_figures():
    found = verdict("history-shuffled", HIGH, LOW)
    assert (found.name, found.system, found.question) == (
        "history-shuffled",
        "mine",
        QUESTIONS["history-shuffled"],
    )
    assert found.before.mean == pytest.approx(0.8)
    assert found.after.mean == pytest.approx(0.2)
    assert found.difference.mean == pytest.approx(-0.6)
    assert found.difference.high < 0
    assert found.before.people == 40


@pytest.mark.parametrize(
    ("name", "after", "fields", "said"),
    [
        ("candidate-order", HIGH, {}, "No ranking of 40 changes with the order of the candidates."),
        (
            "candidate-order",
            HIGH,
            {"rankings_changed": 3},
            "3 of 40 rankings change with the order of the candidates; how good they are does not.",
        ),
        (
            "paraphrase",
            LOW,
            {"rankings_changed": 39},
            "39 of 40 rankings change with the wording of the prompts; it costs 60.0 points of NDCG@10.",
        ),
        ("target-first", HIGH, {}, "Being listed first makes no difference that can be measured."),
        (
            "target-last",
            LOW,
            {},
            "Being listed last costs an item 60.0 points of NDCG@10: places are not treated alike.",
        ),
        ("history-shuffled", HIGH, {}, "The order of the history makes no difference that can be measured."),
        (
            "history-shuffled",
            LOW,
            {},
            "The order of the history matters: without it the ranking loses 60.0 points of NDCG@10.",
        ),
        (
            "other-history",
            LOW,
            {"chance": 0.2},
            "The history is needed: with another person's the ranking loses 60.0 points of NDCG@10, down to "
            "chance (20.0).",
        ),
        (
            "other-history",
            HIGH,
            {"chance": 0.2},
            "Another person's history does the ranking as well: what it has above chance (20.0) is not about "
            "the person.",
        ),
        (
            "other-history",
            LOW,
            {"chance": 0.1},
            "The history is needed: with another person's the ranking loses 60.0 points of NDCG@10; what it "
            "keeps above chance (10.0) is not about the person.",
        ),
        (
            "other-history",
            HIGH,
            {"chance": 0.9},
            "Another person's history does the ranking as well: it is at chance (90.0).",
        ),
    ],
)
def test_what_the_figures_mean(name, after, fields, said):
    assert verdict(name, HIGH, after, **fields).verdict == said


def test_probes_are_known_by_name():
    assert checked_probes(["paraphrase", "candidate-order", "paraphrase"]) == (
        "paraphrase",
        "candidate-order",
    )
    with pytest.raises(InputError, match="no probe 'order': choose among candidate-order, target-position"):
        checked_probes(["order"])
    assert len(PROBES) == 6
