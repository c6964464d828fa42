"""How figures are written."""

from __future__ import annotations

import math

import pytest

from llmrec.evaluation.metric_labels import is_list_metric, metric_label, shown_seconds
from llmrec.evaluation.types import Interval


def test_shares_are_percents_and_others_keep_their_unit() -> None:
    ndcg = metric_label("ndcg@10")
    assert (ndcg.label, ndcg.cutoff, ndcg.number(0.5641)) == ("NDCG@10", 10, "56.4")
    assert metric_label("auc").cutoff is None
    novelty = metric_label("novelty@5")
    assert (novelty.label, novelty.number(8.126), novelty.unit) == ("Novelty@5", "8.13", "bits")
    assert metric_label("gini@10").better == "lower"


def test_an_unknown_metric_is_called_by_its_name() -> None:
    mine = metric_label("surprise@3")
    assert (mine.label, mine.number(0.25), mine.cutoff) == ("surprise@3", "0.250", 3)
    assert metric_label("odd@name").cutoff is None


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.042, "+4.2"), (-0.042, "−4.2"), (0.0, "0.0"), (-0.0001, "0.0"), (0.0001, "0.0"), (math.nan, "–")],
)
def test_differences_have_a_sign_where_they_can_be_seen(value: float, shown: str) -> None:
    assert metric_label("mrr").number(value, signed=True) == shown


def test_bounds_that_show_the_same_number_are_left_out() -> None:
    auc = metric_label("auc")
    assert auc.interval(Interval(mean=0.564, low=0.541, high=0.586, people=9)) == "56.4 (54.1 to 58.6)"
    assert auc.interval(Interval(mean=0.5, low=0.5, high=0.5000001, people=9)) == "50.0"


def test_figures_of_lists_are_told_from_those_of_places() -> None:
    assert is_list_metric("coverage@10")
    assert is_list_metric("word_diversity@10")
    assert not is_list_metric("recall@10")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "under 0.1 ms"),
        (0.0004, "0.4 ms"),
        (0.031, "31 ms"),
        (0.9994, "1 s"),
        (1.23, "1.2 s"),
        (42.4, "42 s"),
        (150, "2.5 min"),
    ],
)
def test_times_have_about_two_digits(seconds: float, shown: str) -> None:
    assert shown_seconds(seconds) == shown
