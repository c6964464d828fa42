from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.ranking.reorder.calibration import (
    SMOOTHING,
    divergence,
    interest_distribution,
    item_distributions,
)
from llmrec.ranking.reorder.membership import InterestMembership
from tests.builders import interest
from tests.ranking.reorder.builders import by_category, film, person


def test_the_proportions_are_those_of_positive_interests() -> None:
    hierarchy = person(horror=0.6, comedy=0.2, drama=-0.4).hierarchy
    assert interest_distribution(hierarchy, "leaves") == pytest.approx(
        {"films/horror": 0.75, "films/comedy": 0.25}
    )
    assert interest_distribution(hierarchy, "areas") == {"films": 1.0}
    assert interest_distribution(person(drama=-0.4).hierarchy, "leaves") == {}


def test_an_item_counts_once_among_the_interests_of_the_level() -> None:
    profile = person(horror=0.6, comedy=0.2, drama=-0.4)
    membership = InterestMembership(profile, by_category)
    items = [
        film("a", "horror"),
        film("b", "horror", "comedy"),
        film("c", "horror", "drama"),
        film("d", "western"),
        film("e"),
    ]
    leaves = item_distributions(items, membership, "leaves", ["films/horror", "films/comedy"])
    assert leaves.tolist() == [[1, 0], [0.5, 0.5], [0.5, 0], [0, 0], [0, 0]]
    areas = item_distributions(items, membership, "areas", ["films"])
    assert areas[:, 0].tolist() == [1, 1, 1, 0, 0]


def test_the_surer_interest_has_the_larger_part() -> None:
    membership = InterestMembership(
        person(horror=0.6, comedy=0.2), lambda _: {"films/horror": 0.9, "films/comedy": 0.3}
    )
    found = item_distributions([film("a")], membership, "leaves", ["films/horror", "films/comedy"])
    assert found == pytest.approx(np.array([[0.75, 0.25]]))


def test_divergence_is_as_by_hand() -> None:
    wanted = np.array([0.75, 0.25])
    # Two horror films: q~ is 0.99 * 1 + 0.01 * 0.75 of horror, and 0.01 * 0.25 of comedies.
    by_hand = 0.75 * math.log(0.75 / 0.9975) + 0.25 * math.log(0.25 / 0.0025)
    assert float(divergence(wanted, np.array([1.0, 0.0]))) == pytest.approx(by_hand)
    assert float(divergence(wanted, wanted)) == pytest.approx(0)
    assert float(divergence(wanted, np.zeros(2))) == pytest.approx(-math.log(SMOOTHING))
    both = divergence(wanted, np.array([[1.0, 0.0], [0.75, 0.25]]))
    assert both == pytest.approx(np.array([by_hand, 0]))


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=6), st.data())
def test_divergence_is_never_below_zero_or_above_its_bound(parts: list[float], data: st.DataObject) -> None:
    wanted = np.array(parts) / sum(parts)
    found = np.array(data.draw(st.lists(st.floats(0, 1), min_size=len(parts), max_size=len(parts))))
    found = found / max(1.0, found.sum())
    assert -1e-12 <= float(divergence(wanted, found)) <= -math.log(SMOOTHING) + 1e-12


def test_areas_with_nothing_below_are_leaves() -> None:
    profile = person(horror=0.6)
    alone = interest("books", "e1", weight=0.2)
    hierarchy = type(profile.hierarchy)(interests=(*profile.interests, alone))
    assert interest_distribution(hierarchy, "leaves") == pytest.approx({"films/horror": 0.75, "books": 0.25})
