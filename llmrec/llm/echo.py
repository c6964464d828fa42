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


def continuation_tokens(prompt: str, start: int, tokens: Sequence[str], lead_length: int = 0) -> range | None:
    """Return the indices of the tokens that make up `prompt[start:]`.

    A token that reaches over `start` is counted in; tokens generated after the prompt are not. `lead_length`
    characters at the prompt's beginning may be missing from the tokens (a parsed special token).
    Returns None when the tokens are not those of the prompt.
    """
    spans = token_spans(prompt, tokens, lead_length)
    if spans is None:
        return None
    inside = [index for index, span in enumerate(spans) if span and span[0] < span[1] and span[1] > start]
    return range(inside[0], inside[-1] + 1) if inside else range(0)


def token_spans(prompt: str, tokens: Sequence[str], lead_length: int = 0) -> list[Span | None] | None:
    """Place each token in the prompt as (first, past the last) character; None for generated tokens.

    Tokens that hold only a piece of a character share its place, special tokens that are not in the prompt
    have an empty one. Returns None when the tokens do not fit the prompt.
    """
    # A character cut into pieces shows in none of them on some servers, and in the last one on others.
    ways = (True, False) if any(map(_is_piece, tokens)) else (True,)
    found = [walk for hidden in ways if (walk := _walk(prompt, tokens, lead_length, hidden)) is not None]
    return max(found, key=lambda walk: walk[0])[1] if found else None


def _walk(
    prompt: str, tokens: Sequence[str], lead_length: int, hidden: bool
) -> tuple[int, list[Span | None]] | None:
    """Place the tokens from left to right; returns how many were readable, and the places."""
    spans: list[Span | None] = [None] * len(tokens)
    position, readable, waiting = 0, 0, list[int]()
    for index, token in enumerate(tokens):
        if position >= len(prompt):
            break
        pieces = sum(_is_piece(tokens[other]) for other in waiting) if hidden else 0
        first = position + math.ceil(pieces / PIECES_PER_CHARACTER)
        last = position + CHARACTERS_PER_PIECE * len(waiting) + (0 if readable else lead_length)
        found = _find(prompt, token, first, last)
        if found is None:
            waiting.append(index)
            continue
        # Pieces before a character that its last piece shows as a whole belong to that character.
        shown = not hidden and found[0] == position and not prompt[position].isascii()
        _spread(spans, waiting, prompt, position, position + 1 if shown else found[0])
        waiting.clear()
        spans[index] = found
        position = found[1]
        readable += 1
    if len(prompt) - position > CHARACTERS_PER_PIECE * len(waiting) or (not readable and prompt.isascii()):
        return None
    if position < len(prompt):
        _spread(spans, waiting, prompt, position, len(prompt))
    return readable, spans


def _is_piece(token: str) -> bool:
    return not token or REPLACEMENT_CHARACTER in token or token.startswith("bytes:")


def _find(prompt: str, token: str, first: int, last: int) -> Span | None:
    """The token's first place that begins between two characters of the prompt, both allowed."""
    if REPLACEMENT_CHARACTER not in token:
        for text in dict.fromkeys((token, token.translate(RAW_TOKEN_CHARACTERS))):
            place = prompt.find(text, first, last + len(text)) if text else -1
            if place >= 0:
                return place, place + len(text)
    return None


def _spread(spans: list[Span | None], indices: Sequence[int], prompt: str, begin: int, end: int) -> None:
    """Share the bytes of prompt[begin:end] evenly among tokens that show no text of their own."""
    character_of_byte = [
        place for place in range(begin, end) for _ in prompt[place].encode("utf-8", "surrogatepass")
    ]
    share = len(character_of_byte)
    for order, index in enumerate(indices):
        if not share:
            spans[index] = (begin, begin)
            continue
        first = order * share // len(indices)
        last = max(first, (order + 1) * share // len(indices) - 1)
        spans[index] = (character_of_byte[first], character_of_byte[last] + 1)
