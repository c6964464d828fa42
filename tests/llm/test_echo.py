"""Finding a continuation's tokens among echoed ones, whatever the server does to their text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.llm.echo import continuation_tokens, token_spans


def test_tokens_are_found_by_their_text() -> None:
    prompt = "The fox asked the owl"
    tokens = ["The", " fox", " asked", " the", " owl"]
    assert continuation_tokens(prompt, len("The fox"), tokens) == range(2, 5)
    assert continuation_tokens(prompt, 0, tokens) == range(5)


def test_a_token_over_the_seam_counts_with_the_continuation() -> None:
    assert continuation_tokens("The foxes", len("The fox"), ["The", " foxes"]) == range(1, 2)


def test_generated_tokens_are_left_out() -> None:
    tokens = ["The", " fox", " the", " fox"]
    assert continuation_tokens("The fox", 3, tokens) == range(1, 2)


def test_a_special_token_may_be_missing_or_listed_or_added() -> None:
    for special in ([], ["<|im_start|>"], ["<s>"], ["<", "|im", "_start", "|>"], [""]):
        tokens = [*special, "The", " fox"]
        assert continuation_tokens("The fox", 3, tokens) == range(len(tokens) - 1, len(tokens))


def test_stand_ins_for_white_space_are_read() -> None:
    assert continuation_tokens("The fox\nran", 3, ["The", "Ġfox", "Ċ", "ran"]) == range(1, 4)
    assert continuation_tokens("The fox", 3, ["▁The", "▁fox"]) == range(1, 2)


@pytest.mark.parametrize(
    "tokens",
    [
        pytest.param(["我", "", "", "", "影"], id="pieces are hidden"),
        pytest.param(["我", "", "", "电", "影"], id="the last piece shows the whole"),
        pytest.param(["我", "\ufffd", "\ufffd", "\ufffd", "影"], id="pieces are replacement characters"),
        pytest.param(["我", "bytes:\\xe7", "bytes:\\x94", "bytes:\\xb5", "影"], id="pieces are named"),
    ],
)
def test_characters_in_pieces(tokens: list[str]) -> None:
    assert continuation_tokens("我电影", 1, tokens) == range(1, 5)
    assert continuation_tokens("我电影", 2, tokens) == range(4, 5)


def test_the_same_character_in_pieces_and_whole() -> None:
    assert continuation_tokens("苹苹。", 1, ["", "", "", "苹", "。"]) == range(3, 5)


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [
        ("The fox asked the owl", ["."]),
        ("The fox asked the owl", ["The", " fox"]),
        ("The fox asked the owl", []),
        ("The fox asked the owl", ["", "", "", "", "", ""]),
        ("The fox", ["Le", " renard"]),
    ],
)
def test_tokens_of_another_text_are_refused(prompt: str, tokens: list[str]) -> None:
    assert continuation_tokens(prompt, 0, tokens) is None


@st.composite
def _cut_texts(draw: st.DrawFn) -> tuple[str, list[str], list[int]]:
    """A text, its tokens (whole words of characters, or single bytes), and where each one begins."""
    words = draw(st.lists(st.text("ab é我电影🎬 ", min_size=1, max_size=4), min_size=1, max_size=8))
    tokens, starts, place = [], [], 0
    for word in words:
        whole = draw(st.booleans())
        for character in [word] if whole else word:
            encoded = character.encode()
            pieces = 1 if whole or len(encoded) == 1 else len(encoded)
            tokens += [character] if pieces == 1 else [""] * pieces
            starts += [place] * pieces
            place += len(character)
    return "".join(words), tokens, starts


@given(_cut_texts(), st.data())
def test_every_cut_of_a_text_is_found_again(
    cut: tuple[str, list[str], list[int]], data: st.DataObject
) -> None:
    text, tokens, starts = cut
    start = data.draw(st.sampled_from(sorted(set(starts))))
    found = continuation_tokens(text, start, [*tokens])
    expected = [index for index, begin in enumerate(starts) if begin >= start]
    assert found is not None
    assert found.stop == len(tokens)
    # Which of two equal neighbours was cut into pieces cannot be seen; then a few tokens change sides.
    assert abs(found.start - expected[0]) <= 8
    if all(tokens) or len(set(text)) == len(text):
        assert found == range(expected[0], len(tokens))


@given(st.text(max_size=30), st.lists(st.text(max_size=4), max_size=12))
def test_nonsense_never_breaks_it(prompt: str, tokens: list[str]) -> None:
    spans = token_spans(prompt, tokens)
    assert spans is None or len(spans) == len(tokens)
    for begin, end in filter(None, spans or ()):
        assert 0 <= begin <= end <= len(prompt)
