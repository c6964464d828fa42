"""Stop strings in texts that come in pieces."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.llm.stopping import StopFilter, cut_at_stop


@pytest.mark.parametrize(
    ("text", "stops", "expected"),
    [
        ("red\n\nblue", ["\n\n"], "red"),
        ("red and blue", [], "red and blue"),
        ("red and blue", ["", "purple"], "red and blue"),
        ("red and blue", ["blue", "and"], "red "),
        ("red", ["red"], ""),
        # A model that stops at a token sees the shorter one first.
        ("abcd", ["abcd", "c"], "ab"),
        ("abcd", ["c", "bc", "abc"], ""),
        ("aab", ["ab"], "a"),
        ("ababac", ["abac"], "ab"),
    ],
)
def test_a_text_ends_at_the_stop_string_that_is_complete_first(
    text: str, stops: list[str], expected: str
) -> None:
    assert cut_at_stop(text, stops) == expected


def test_what_may_begin_a_stop_string_waits() -> None:
    stop = StopFilter(["END.", "\n\n"])
    assert [stop.feed(piece) for piece in ("a", " E", "N", "D", "!", "\n", "b")] == [
        *("a", " ", "", "", "END!", "", "\nb")
    ]
    assert not stop.stopped
    assert stop.feed("\n") + stop.finish() == "\n"
    assert stop.feed("cEND") == "c"
    assert stop.feed(". and more") == ""
    assert stop.stopped
    assert stop.feed("more") + stop.finish() == ""


@given(
    st.text(st.sampled_from("ab"), max_size=30),
    st.lists(st.text(st.sampled_from("ab"), max_size=4), max_size=3),
    st.data(),
)
def test_pieces_make_no_difference(text: str, stops: list[str], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)))) | {0, len(text)})
    stop = StopFilter(stops)
    shown = [stop.feed(text[begin:end]) for begin, end in itertools.pairwise(cuts)]
    answer = "".join(shown) + stop.finish()
    # By definition: character by character, until the text so far ends with a stop string.
    ends = (
        length - max(len(end) for end in stops if end and text[:length].endswith(end))
        for length in range(len(text) + 1)
        if any(end and text[:length].endswith(end) for end in stops)
    )
    assert answer == cut_at_stop(text, stops) == text[: next(ends, len(text))]
