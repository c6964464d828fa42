"""Find a continuation's tokens among those a server echoes, by their text.

Servers also send offsets, but these count characters here and bytes there, leave special tokens out or count
them in, and go astray at characters that are cut into several tokens. The tokens' own text does not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

REPLACEMENT_CHARACTER = "\ufffd"
# How some servers write white space: as the tokenizer's own stand-ins.
RAW_TOKEN_CHARACTERS = str.maketrans({"Ġ": " ", "▁": " ", "Ċ": "\n"})
# A character has at most four bytes, and a token without readable text stands for at most four characters.
PIECES_PER_CHARACTER = 4
CHARACTERS_PER_PIECE = 4

# Repeated characters cut into pieces leave several ways; a text for which none of so many fits is given up.
MOST_WALKS = 256

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


@dataclass
class _Walk:
    """How far tokens are placed, and where the next one is looked for."""

    index: int
    position: int
    readable: int
    pieces: int
    waiting: list[int]
    spans: list[Span | None]
    first: int | None = None
    """The first place for the next token; None for where it naturally comes."""

    def looking_from(self, first: int) -> _Walk:
        """The same, with the next token looked for further on."""
        waiting, spans = list(self.waiting), list(self.spans)
        return _Walk(self.index, self.position, self.readable, self.pieces, waiting, spans, first)


def _walk(text: str, tokens: Sequence[str], hidden: bool) -> tuple[int, list[Span | None]] | None:
    """Place the tokens from left to right; returns how many were readable, and the places.

    Behind tokens without readable text the next one may stand in several places: the first is tried first.
    """
    walks = [_Walk(0, 0, 0, 0, [], [None] * len(tokens))]
    for _ in range(MOST_WALKS):
        if not walks:
            break
        walk = walks.pop()
        if _finish(text, tokens, hidden, walk, walks):
            return walk.readable, walk.spans
    return None


def _finish(text: str, tokens: Sequence[str], hidden: bool, walk: _Walk, others: list[_Walk]) -> bool:
    """Place all tokens that are left; whether they make up the text. Adds the ways not taken to `others`."""
    while walk.index < len(tokens) and walk.position < len(text):
        token = tokens[walk.index]
        first = walk.position + math.ceil(walk.pieces / PIECES_PER_CHARACTER)
        last = walk.position + CHARACTERS_PER_PIECE * len(walk.waiting)
        found = _find(text, token, first if walk.first is None else walk.first, last)
        if found is None and walk.first is not None:
            return False
        if found is None:
            walk.waiting.append(walk.index)
            walk.pieces += hidden and _is_piece(token)
            walk.index += 1
            continue
        if walk.waiting and found[0] < last:
            others.append(walk.looking_from(found[0] + 1))
        # Pieces before a character that its last piece shows as a whole belong to that character.
        shown = not hidden and found[0] == walk.position and not text[walk.position].isascii()
        end = walk.position + 1 if shown else found[0]
        _spread(walk.spans, walk.waiting, text, walk.position, end)
        walk.waiting.clear()
        walk.pieces, walk.first = 0, None
        walk.spans[walk.index] = found
        walk.position = found[1]
        walk.readable += 1
        walk.index += 1
    left = len(text) - walk.position
    if left > CHARACTERS_PER_PIECE * len(walk.waiting) or (not walk.readable and text.isascii()):
        return False
    if left:
        _spread(walk.spans, walk.waiting, text, walk.position, len(text))
    return True


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
