"""Places of items: histories and logs as numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from llmrec.candidates.item_places import NOT_CHOSEN, ItemPlaces
from llmrec.candidates.log import InteractionLog
from llmrec.errors import InputError


def test_a_history_by_ids_and_places() -> None:
    places, weights = ItemPlaces(["a", "手机", "c"]).of_history(
        [("手机", 0.5), (2, 1), ("x", 9), (np.int64(0), -1)]
    )
    assert places.tolist() == [1, 2, 0]
    assert weights.tolist() == [0.5, 1.0, -1.0]


@pytest.mark.parametrize(
    ("history", "says"),
    [
        ([(3, 1.0)], r"no item at the place 3: give one from 0 to 2, or an id"),
        ([(-1, 1.0)], r"no item at the place -1"),
        ([("a", math.nan)], r"weight of the item 'a' is nan"),
        ([("a", 1e300)], r"give a finite one, to 1e12"),
        ([("unknown", math.inf)], r"weight of the item 'unknown' is inf"),
    ],
)
def test_a_faulty_history_is_told(history: list, says: str) -> None:
    with pytest.raises(InputError, match=says):
        ItemPlaces(["a", "b", "c"]).of_history(history)


def test_an_id_given_twice_is_told() -> None:
    with pytest.raises(InputError, match="'a' is listed twice"):
        ItemPlaces(["a", "b", "a"])


def test_a_log_as_places() -> None:
    log = InteractionLog({"ana": ["b", "x", "a", "b"], "leo": ["a"]})
    places, lengths = ItemPlaces(["a", "b"]).of_log(log)
    assert places.tolist() == [1, NOT_CHOSEN, 0, 1, 0]
    assert lengths.tolist() == [4, 1]
    places, lengths = ItemPlaces(["a", "b"]).of_log(log, most=2)
    assert places.tolist() == [0, 1, 0]
    assert lengths.tolist() == [2, 1]
