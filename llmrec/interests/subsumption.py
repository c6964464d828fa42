"""What the words of two labels alone say of which is broader."""

from __future__ import annotations

import re
from dataclasses import dataclass

from llmrec.interests.merging import label_words
from llmrec.interests.taxonomy import CJK_RUN

PREPOSITION = re.compile(r"(?:of|about|for|with|from|in|on|by|without)")


@dataclass(frozen=True)
class LabelWords:
    """The words of a label, as they are compared."""

    words: tuple[str, ...]
    chinese: bool

    @classmethod
    def of(cls, label: str) -> LabelWords:
        """Read a label."""
        return cls(label_words(label), bool(CJK_RUN.search(label)))


def subsumes(narrow: LabelWords, broad: LabelWords) -> bool:
    """Whether the words of a label say that it is a kind of another.

    Its last words are the other's (indie games, games; 科幻小说, 小说), its first ones before a preposition
    are (books about war, books), or the other joins it with something else (fantasy, horror and fantasy).
    """
    ours, theirs = narrow.words, broad.words
    if not ours or not theirs or ours == theirs:
        return False
    if narrow.chinese or broad.chinese:
        one, other = "".join(ours), "".join(theirs)
        if "和" in other[1:-1] and "和" not in one:
            return one in other.split("和")
        return len(other) >= 2 and one != other and one.endswith(other) and "和" not in one
    if "and" in theirs and "and" not in ours:
        return ours in _conjuncts(theirs)
    if "and" in ours or len(ours) <= len(theirs):
        return False
    if ours[-len(theirs) :] == theirs:
        # In "books about games" the games are not what it is.
        return not any(PREPOSITION.fullmatch(word) for word in ours[: -len(theirs)])
    return ours[: len(theirs)] == theirs and PREPOSITION.fullmatch(ours[len(theirs)]) is not None


def _conjuncts(words: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The words on each side of every "and"."""
    parts: list[tuple[str, ...]] = [()]
    for word in words:
        if word == "and":
            parts.append(())
        else:
            parts[-1] = (*parts[-1], word)
    return parts
