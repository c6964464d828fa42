"""Text as people sent it: what to remove from it before use, and how to show it in a message."""

from __future__ import annotations

import json
import re
from typing import Any

RECORD_LENGTH = 500
"""Characters of a record that a note keeps."""

_LINE_BREAKS = re.compile("\r\n|[\t\n\v\f\r\x85\u2028\u2029]")
# Cc, then the characters that override or isolate a direction of writing and so can show a text as another.
_UNWANTED = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069]")
_SURROGATES = re.compile("[\ud800-\udfff]")


def clean_text(text: str) -> str:
    """Return the text on one line, without characters that cannot be seen and may mislead.

    Line breaks and tabs become spaces. Removed are other control characters, the marks that override or
    isolate the direction of writing, and halves of surrogate pairs. Letters of every script, emoji and
    the joiners inside them stay. Cleaning a clean text changes nothing.
    """
    return _UNWANTED.sub("", _LINE_BREAKS.sub(" ", join_surrogates(text)))


def has_unwanted_characters(text: str) -> bool:
    """Whether `clean_text` would remove something, rather than only turn line breaks into spaces."""
    return bool(_UNWANTED.search(text) or _SURROGATES.search(text))


def join_surrogates(text: str) -> str:
    """Return the text with split surrogate pairs joined and their lonely halves removed."""
    if not _SURROGATES.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")


def record_text(record: Any) -> str:
    """A record as JSON text for a note: printable, and cut to 500 characters."""
    try:
        text = json.dumps(record, ensure_ascii=False, default=str, skipkeys=True)
    except (ValueError, RecursionError):
        text = '"a record too deeply nested to be shown"'
    return printable(text, RECORD_LENGTH)


def printable(text: str, length: int = 200) -> str:
    """The text with its invisible characters written as escapes, cut to a number of characters."""
    text = text if len(text) <= length else text[: length - 1] + "…"
    for pattern in (_UNWANTED, _LINE_BREAKS, _SURROGATES):
        text = pattern.sub(lambda found: "".join(f"\\u{ord(char):04x}" for char in found[0]), text)
    return text if len(text) <= length else text[: length - 1] + "…"
