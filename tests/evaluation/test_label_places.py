"""Labels that cover nothing."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec.evaluation.label_places import Box, place_labels, spread

BOUNDS = Box(0, 0, 400, 300)
POINTS = st.lists(st.tuples(st.floats(10, 390), st.floats(10, 290)), min_size=1, max_size=14)


@given(POINTS, st.floats(10, 120))
@settings(deadline=None, max_examples=60)
def test_no_label_covers_a_label_or_a_point(points: list[tuple[float, float]], width: float) -> None:
    bar = Box(100, 50, 103, 200)
    places = place_labels(points, [(width, 13.0)] * len(points), BOUNDS, obstacles=[bar])
    if places is None:
        return
    for one, other in itertools.combinations([place.box for place in places], 2):
        assert not one.overlaps(other)
    for place in places:
        assert place.box.within(BOUNDS)
        assert not place.box.overlaps(bar)
        for x, y in points:
            assert not place.box.overlaps(Box(x - 4.9, y - 4.9, x + 4.9, y + 4.9))


def test_a_lonely_point_has_its_label_to_the_right_without_a_line() -> None:
    (place,) = place_labels([(100, 100)], [(40, 12)], BOUNDS) or [None]
    assert place is not None
    assert place.leader is None
    assert 105 <= place.box.left <= 110
    assert place.box.bottom < 100 < place.box.top


def test_ten_points_at_one_place_all_get_labels_with_lines() -> None:
    points = [(200.0 + at, 150.0) for at in range(10)]
    places = place_labels(points, [(60, 13)] * 10, BOUNDS)
    assert places is not None
    assert sum(place.leader is not None for place in places) >= 6


def test_without_room_there_is_no_place() -> None:
    assert place_labels([(20, 20)], [(200, 12)], Box(0, 0, 100, 40)) is None


@given(st.lists(st.floats(-1, 2), max_size=12), st.floats(0.01, 0.3))
def test_spread_positions_keep_their_order_and_their_distance(wanted: list[float], gap: float) -> None:
    found = spread(wanted, gap, 0.0, 1.0)
    assert all(-1e-9 <= value <= 1 + 1e-9 for value in found)
    least = min(gap, 1 / max(1, len(wanted) - 1)) - 1e-9
    for one, other in itertools.combinations(range(len(wanted)), 2):
        assert abs(found[one] - found[other]) >= least
        if wanted[one] < wanted[other]:
            assert found[one] < found[other]


def test_positions_with_room_stay_where_they_are() -> None:
    assert spread([0.5, 0.1, 0.9], 0.1, 0.0, 1.0) == [0.5, 0.1, 0.9]
    assert spread([1.4], 0.1, 0.0, 1.0) == [1.0]
    assert spread([], 0.1, 0.0, 1.0) == []
