"""The fence between a prompt and the text of users and items: one line, no control and no role tokens."""

from __future__ import annotations

import re
import unicodedata

ROLE_TOKENS = re.compile(
    r"<\|[^|<>]{0,40}\|>"
    r"|</?s>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>"
    r"|</?(?:events?|items?|system|user|assistant|person|history|tool_call|think)\b[^<>]{0,40}>",
    re.IGNORECASE,
)
FULLWIDTH_BAR = re.compile("<\uff5c[^<>]{0,60}\uff5c>")
WHITE_SPACE = re.compile(r"\s+")
# Every category of character that shows nothing and can steer a reader or a tokenizer. The joiner stays, for
# emoji and for scripts that need it.
INVISIBLE = {"Cc", "Cs", "Co", "Cn"}
BIDI_CONTROLS = frozenset(
    "\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\u200b\u2060"
)
ELLIPSIS = "…"


def fence_text(text: object, limit: int = 300) -> str:
    """Make a text safe to stand inside a prompt: one line, at most `limit` characters.

    Control, private-use and direction-changing characters go, as do the markers with which chat templates
    and our own prompts part one speaker or section from another. What is cut ends in an ellipsis.
    """
    plain = str(text)[: limit * 20]
    plain = "".join(
        character if unicodedata.category(character) not in INVISIBLE else " "
        for character in plain
        if character not in BIDI_CONTROLS
    )
    # Taking a marker out can join the halves of another one.
    while True:
        bare = FULLWIDTH_BAR.sub(" ", ROLE_TOKENS.sub(" ", plain))
        if bare == plain:
            break
        plain = bare
    plain = WHITE_SPACE.sub(" ", plain).strip()
    return plain if len(plain) <= limit else plain[: limit - 1].rstrip() + ELLIPSIS
