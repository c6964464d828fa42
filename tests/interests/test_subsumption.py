"""What words alone say of which label is broader."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.interests.subsumption import LabelWords, subsumes


def kind_of(narrow: str, broad: str) -> bool:
    return subsumes(LabelWords.of(narrow), LabelWords.of(broad))


@pytest.mark.parametrize(
    ("narrow", "broad"),
    [
        ("Indie games", "Games"),
        ("Indie game", "Games"),
        ("American football", "football"),
        ("Books about war", "Books"),
        ("Fantasy", "Horror & fantasy"),
        ("科幻小说", "小说"),
        ("科幻", "科幻与奇幻"),
    ],
)
def test_words_tell_the_broader_label(narrow: str, broad: str) -> None:
    assert kind_of(narrow, broad)
    assert not kind_of(broad, narrow)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Games", "Game"),
        ("Books about games", "Games"),
        ("Game design", "Games"),
        ("Home & garden", "Garden"),
        ("Science fiction", "Science"),
        ("Indie games", "Indie music"),
        ("科幻小说", "科幻"),
        ("电影", "影"),
        ("!!", "Games"),
    ],
)
def test_words_that_only_look_alike_say_nothing(one: str, other: str) -> None:
    assert not kind_of(one, other)


words = st.lists(st.sampled_from(["games", "indie", "and", "of", "war", "小说", "科幻", "&"]), max_size=5)


@given(words, words)
def test_two_labels_are_never_broader_than_each_other(one: list[str], other: list[str]) -> None:
    assert not (kind_of(" ".join(one), " ".join(other)) and kind_of(" ".join(other), " ".join(one)))
