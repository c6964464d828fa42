from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from llmrec.cli.prose import wrap

texts = st.text(alphabet=st.sampled_from("ab cd,.();-“”（）「」，。；科幻小说1 \t"), max_size=120)


@given(texts, st.integers(min_value=2, max_value=60))
def test_every_line_fits_and_nothing_is_lost(text: str, width: int) -> None:
    lines = wrap(text, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join("".join(lines).split()) == "".join(text.split())


@given(st.lists(st.text(alphabet="abcde", min_size=1, max_size=10), min_size=1), st.integers(10, 60))
def test_english_breaks_between_words_only(words: list[str], width: int) -> None:
    assert " ".join(wrap(" ".join(words), width)) == " ".join(words)


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("喜欢读中文科幻小说。", 10, ["喜欢读中文", "科幻小说。"]),
        ("与「小米」用词相近", 8, ["与「小", "米」用词", "相近"]),
        ("模型（+79.3）认为", 10, ["模型", "（+79.3）", "认为"]),
        ("read “Plenty” twice", 12, ["read", "“Plenty”", "twice"]),
        ("", 10, [""]),
    ],
)
def test_no_line_begins_with_a_closing_mark_or_ends_with_an_opening_one(
    text: str, width: int, lines: list[str]
) -> None:
    assert wrap(text, width) == lines
