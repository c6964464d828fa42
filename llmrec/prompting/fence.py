"""The fence between a prompt and the text of users and items: one line, no control and no role tokens."""

from __future__ import annotations

import re
import unicodedata

# The markers of the chat templates in use, and the sections of our own prompts. Read after white space was
# made single, so that no part of the pattern has to search far.
ROLE_TOKENS = re.compile(
    r"<\|[^|<>]{0,40}\|>|<\|\w{1,40}>|<\w{1,40}\|>|<｜[^<>]{0,60}｜>"
    r"|</?s>|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS|TOOL_CONTENT|THINK|gMASK)\]"
    r"|<</?SYS>>|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk|bos_token|eos_token|sop|eop|mask)>"
    r"|[<＜] ?[/／]? ?(?:events?|items?|system|user|assistant|person|history|tool_call|tool_response|think)"
    r"\b[^<>＜＞]{0,200}[>＞]",
    re.IGNORECASE,
)
WHITE_SPACE = re.compile(r"\s+")
# Characters that show nothing and can steer a reader or a tokenizer: control, surrogate, private, unassigned.
REPLACED = frozenset({"Cc", "Cs", "Co", "Cn"})
# Of the format characters (direction, width, tags) only those stay that emoji and some scripts need to be
# read: the joiners, and the signs that enclose a number.
KEPT_FORMATS = frozenset("\u200c\u200d\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2")
# One selector chooses a form of the character before it; a row of them can only carry a hidden message.
SELECTOR_ROW = re.compile("([\ufe00-\ufe0f\U000e0100-\U000e01ef])[\ufe00-\ufe0f\U000e0100-\U000e01ef]+")
MAX_NESTING = 8
BRACKETS = str.maketrans(dict.fromkeys("<>[]＜＞", " "))
ELLIPSIS = "…"


def fence_text(text: object, limit: int = 300) -> str:
    """Make a text safe to stand inside a prompt: one line, at most `limit` characters.

    Control, private-use and invisible characters go, as do the markers with which chat templates and our own
    prompts part one speaker or section from another. What is cut ends in an ellipsis.
    """
    if limit < 1:
        return ""
    plain = "".join(map(_visible, str(text)[: limit * 20]))
    plain = _without_role_tokens(SELECTOR_ROW.sub(r"\1", plain))
    return plain if len(plain) <= limit else plain[: limit - 1].rstrip() + ELLIPSIS


def _visible(character: str) -> str:
    if character.isascii() and character.isprintable():
        return character
    category = unicodedata.category(character)
    if category in REPLACED:
        return " "
    return "" if category == "Cf" and character not in KEPT_FORMATS else character


def _without_role_tokens(text: str) -> str:
    text = WHITE_SPACE.sub(" ", text).strip()
    # Taking a marker out can join the halves of another one.
    for _ in range(MAX_NESTING):
        bare = WHITE_SPACE.sub(" ", ROLE_TOKENS.sub(" ", text)).strip()
        if bare == text:
            return text
        text = bare
    # Nobody nests markers this deep by accident.
    return WHITE_SPACE.sub(" ", text.translate(BRACKETS)).strip()
