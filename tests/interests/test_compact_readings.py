"""Readings written in short come back as they were."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.interests.compact_readings import compact, expanded
from llmrec.interests.extraction import EventLabel, EventReading, PathStep
from tests.builders import label, readings

STEP = st.builds(PathStep, st.text(min_size=1, max_size=3), st.text(max_size=3))
LABEL = st.builds(
    EventLabel,
    st.lists(STEP, min_size=1, max_size=3).map(tuple),
    st.floats(0, 1),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
READING = st.builds(
    EventReading, labels=st.lists(LABEL, max_size=3), by_model=st.booleans(), fixed=st.booleans()
)


@given(st.lists(READING, max_size=5))
def test_what_is_written_is_read_back(found: list[EventReading]) -> None:
    assert expanded(json.loads(json.dumps(compact(found)))) == found


def test_paths_are_written_once() -> None:
    written = compact(readings(*[label("films/horror", 0.5)] * 100))
    assert written["paths"] == [[["films", "Films"], ["films/horror", "Horror"]]]
    assert len(json.dumps(written)) < 100 * 30


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"paths": [], "events": [[0, [[1, 0.5, 0]]]]},
        {"paths": [["a"]], "events": []},
        {"paths": 1, "events": 2},
    ],
)
def test_what_was_not_written_so_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        expanded(wrong)
