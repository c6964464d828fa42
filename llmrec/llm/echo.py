"""Find a continuation's tokens among those a server echoes, by their text.

Servers also send offsets, but these count characters here and bytes there, leave special tokens out or count
them in, and go astray at characters that are cut into several tokens. The tokens' own text does not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

REPLACEMENT_CHARACTER = "\ufffd"
# How some servers write white space: as the tokenizer's own stand-ins.
RAW_TOKEN_CHARACTERS = str.maketrans({"Ġ": " ", "▁": " ", "Ċ": "\n"})
# A character has at most four bytes, and a token without readable text stands for at most four characters.
PIECES_PER_CHARACTER = 4
CHARACTERS_PER_PIECE = 4

Span = tuple[int, int]


def continuation_tokens(text: str, start: int, tokens: Sequence[str]) -> range | None:
    """Return the indices of the tokens that make up `text[start:]`.

    A token that reaches over `start` is counted in. Special tokens before the text and generated ones after
    it are not, whether the server lists them or not. Returns None when the tokens are not those of the text.
    """
    spans = token_spans(text, tokens)
    if spans is None:
        return None
    inside = [index for index, span in enumerate(spans) if span and span[0] < span[1] and span[1] > start]
    return range(inside[0], inside[-1] + 1) if inside else range(0)


def token_spans(text: str, tokens: Sequence[str]) -> list[Span | None] | None:
    """Place each token in the text as (first, past the last) character; None for generated tokens.

    Tokens that hold only a piece of a character share its place, special tokens that are not in the text
    have an empty one. Returns None when the tokens do not fit the text.
    """
    # A character cut into pieces shows in none of them on some servers, and in the last one on others.
    ways = (True, False) if any(map(_is_piece, tokens)) else (True,)
    found = [walk for hidden in ways if (walk := _walk(text, tokens, hidden)) is not None]
    return max(found, key=lambda walk: walk[0])[1] if found else None


def _walk(text: str, tokens: Sequence[str], hidden: bool) -> tuple[int, list[Span | None]] | None:
    """Place the tokens from left to right; returns how many were readable, and the places."""
    spans: list[Span | None] = [None] * len(tokens)
    position, readable, pieces, waiting = 0, 0, 0, list[int]()
    for index, token in enumerate(tokens):
        if position >= len(text):
            break
        first = position + math.ceil(pieces / PIECES_PER_CHARACTER)
        last = position + CHARACTERS_PER_PIECE * len(waiting)
        found = _find(text, token, first, last)
        if found is None:
            waiting.append(index)
            pieces += hidden and _is_piece(token)
            continue
        # Pieces before a character that its last piece shows as a whole belong to that character.
        shown = not hidden and found[0] == position and not text[position].isascii()
        _spread(spans, waiting, text, position, position + 1 if shown else found[0])
        waiting.clear()
        pieces = 0
        spans[index] = found
        position = found[1]
        readable += 1
    if len(text) - position > CHARACTERS_PER_PIECE * len(waiting) or (not readable and text.isascii()):
        return None
    if position < len(text):
        _spread(spans, waiting, text, position, len(text))
    return readable, spans


def _is_piece(token: str) -> bool:
    return not token or REPLACEMENT_CHARACTER in token or token.startswith("bytes:")


def _find(text: str, token: str, first: int, last: int) -> Span | None:
    """The token's first place that begins between two characters of the text, both allowed."""
    if REPLACEMENT_CHARACTER not in token:
        for form in dict.fromkeys((token, token.translate(RAW_TOKEN_CHARACTERS))):
            place = text.find(form, first, last + len(form)) if form else -1
            if place >= 0:
                return place, place + len(form)
    return None


def _spread(spans: list[Span | None], indices: Sequence[int], text: str, begin: int, end: int) -> None:
    """Share the bytes of text[begin:end] evenly among tokens that show no text of their own."""
    character_of_byte = [
        place for place in range(begin, end) for _ in text[place].encode("utf-8", "surrogatepass")
    ]
    share = len(character_of_byte)
    for order, index in enumerate(indices):
        if not share:
            spans[index] = (begin, begin)
            continue
        first = order * share // len(indices)
        last = max(first, (order + 1) * share // len(indices) - 1)
        spans[index] = (character_of_byte[first], character_of_byte[last] + 1)
