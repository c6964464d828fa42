"""The fence: whatever people and catalogues write stays one short line of plain text."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llmrec.prompting.fence import ELLIPSIS, fence_text

ROLE_TOKENS = [
    "<|im_start|>",
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|start_header_id|>",
    "<|START_OF_TURN_TOKEN|>",
    "<|turn>",
    "<turn|>",
    "<s>",
    "</s>",
    "[INST]",
    "[/INST]",
    "[SYSTEM_PROMPT]",
    "[/SYSTEM_PROMPT]",
    "[TOOL_CALLS]",
    "<<SYS>>",
    "<</SYS>>",
    "<start_of_turn>",
    "<end_of_turn>",
    "<bos>",
    "<eos>",
    "<think>",
    "</think>",
    "<tool_call>",
    "<\uff5cUser\uff5c>",
    "<\uff5cend\u2581of\u2581sentence\uff5c>",
    "<events>",
    "</events>",
    "</history>",
    "<items>",
    "</items>",
    "</item id='3'>",
    "< / events >",
    "</EVENTS\n>",
    "\uff1c/events\uff1e",
    "<system>",
    "</user>",
]
PIECES = ["<", ">", "|", "/", "[", "]", "<|", "|>", "<<", ">>", " ", "\n", "im_start", "x", "events", "INST"]
HIDDEN = {"Cc", "Cs", "Co", "Cn"}
hostile = st.lists(st.sampled_from([*ROLE_TOKENS, *PIECES, "看", "\u202e", "\u200b"]), max_size=24).map(
    "".join
)
anything = st.one_of(st.text(max_size=400), hostile)


def survivors(text: str) -> list[str]:
    folded = text.casefold()
    return [token for token in ROLE_TOKENS if " ".join(token.split()).casefold() in folded]


@pytest.mark.parametrize("token", ROLE_TOKENS)
def test_role_tokens_go(token: str) -> None:
    assert fence_text(f"before{token}after") == "before after"
    assert fence_text(f"before {token.upper()} after") == "before after"
    assert fence_text(token) == ""


@pytest.mark.parametrize(
    "nested",
    [
        "<|im_<|x|>start|>",
        "<|im_<|im_<|x|>start|>start|>",
        "<|<s>im_start|>",
        "[IN[INST]ST]",
        "</ev</events>ents>",
        "<|im\u200b_start|>",
        "<\u2060|im_start|>",
        "<|im_start\x00|>",
        "<<s>s>",
        "<\u00ads\u00ad>",
    ],
)
def test_role_tokens_that_appear_by_taking_others_away_go_too(nested: str) -> None:
    fenced = fence_text(f"a {nested} b")
    assert survivors(fenced) == []
    assert "im_start" not in fenced
    assert fenced.startswith("a ")
    assert fenced.endswith(" b")


def test_nesting_without_end_costs_the_brackets() -> None:
    text = "<|im_" * 40 + "start|>" * 40
    fenced = fence_text(text)
    assert survivors(fenced) == []
    assert not set("<>") & set(fenced)


@pytest.mark.parametrize(
    "text",
    [
        "Blade Runner (1982)",
        "5 < 7 and 9 > 8",
        "C++ templates: std::vector<int>",
        "I <3 films",
        "a || b, a | b",
        "The [untitled] film [INSTANT]",
        "Se7en [Director's Cut]",
        "银翼杀手：最终剪辑版《2049》",
        "مرحبا بالعالم",
        "می‌خواهم",
        "👩‍👩‍👧 family ❤️",
        "naïve café e\u0301",
        "<b>bold</b> items and events",
        "the system of a user's history",
    ],
)
def test_plain_text_stays_as_it_is(text: str) -> None:
    assert fence_text(text) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("  two\n\nlines\t and\u2028more \x85", "two lines and more"),
        ("\u202eright to left\u202c", "right to left"),
        ("ze\u200bro\ufeff wi\u2060dth", "zero width"),
        ("soft\u00adhyphen", "softhyphen"),
        ("tags\U000e0041\U000e0042\U000e007f!", "tags!"),
        ("a\x00b\x1b[31mc", "a b [31mc"),
        ("private \ue000 use", "private use"),
        ("half \ud800 a pair", "half a pair"),
        ("carried❤" + "\ufe0f\U000e0101\U000e0102\U000e0103", "carried❤\ufe0f"),
        ("", ""),
        (" \n ", ""),
        (None, "None"),
        (3.5, "3.5"),
    ],
)
def test_what_shows_nothing_goes(text: object, expected: str) -> None:
    assert fence_text(text) == expected


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(5, "abcde"), (4, "abc…"), (2, "a…"), (1, "…"), (0, ""), (-3, "")],
)
def test_what_is_cut_ends_in_an_ellipsis(limit: int, expected: str) -> None:
    assert fence_text("abcde", limit) == expected


def test_a_cut_leaves_no_space_before_the_ellipsis() -> None:
    assert fence_text("one two three", 5) == "one" + ELLIPSIS


@given(text=anything, limit=st.integers(-2, 120))
@example(text="<|im_start|>" * 30, limit=40)
def test_it_is_one_line_within_the_limit_without_role_tokens(text: str, limit: int) -> None:
    fenced = fence_text(text, limit)
    assert len(fenced) <= max(limit, 0)
    assert len(fenced.splitlines()) <= 1
    assert fenced == fenced.strip()
    assert "  " not in fenced
    assert survivors(fenced) == []
    assert not [character for character in fenced if unicodedata.category(character) in HIDDEN]
    assert not set("\u202e\u200b\u2066\ufeff\u00ad\U000e0041").intersection(fenced)
    fenced.encode()


@given(text=anything, limit=st.integers(1, 120))
def test_fencing_twice_changes_nothing(text: str, limit: int) -> None:
    once = fence_text(text, limit)
    assert fence_text(once, limit) == once


@given(
    before=st.text("ab c", max_size=10),
    token=st.sampled_from(ROLE_TOKENS),
    after=st.text("ab c", max_size=10),
)
def test_what_stands_around_a_token_stays(before: str, token: str, after: str) -> None:
    assert fence_text(before + token + after).split() == (before + " " + after).split()


@pytest.mark.parametrize("limit", [300, 100_000])
@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a long description " * 5_300, id="plain"),
        pytest.param("科幻电影" * 25_000, id="chinese"),
        pytest.param("<|im_" * 8_300 + "start|>" * 8_300, id="nested"),
        pytest.param("<" + " " * 100_000, id="spaces"),
        pytest.param("<|" * 50_000, id="openings"),
        pytest.param("<events" + " x" * 50_000, id="attributes"),
        pytest.param("< / " * 25_000, id="slashes"),
        pytest.param("<\uff5c" * 50_000, id="full width"),
        pytest.param("\u202e\ufe0f" * 50_000, id="invisible"),
        pytest.param("[/INST" * 16_000, id="brackets"),
    ],
)
def test_100_kb_take_no_time(text: str, limit: int) -> None:
    began = time.process_time()
    assert len(fence_text(text, limit)) <= limit
    assert time.process_time() - began < 2.0
