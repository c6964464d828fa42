"""What an extraction reads: each distinct item or sentence of a history, once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from llmrec.behavior.events import HistoryEntry, Item
from llmrec.interests.taxonomy import CJK_RUN

LETTER = re.compile(r"[^\W\d_]", re.UNICODE)
CLAUSE_END = re.compile(
    r"[.!?;,\n。！？；，、]+|\b(?:and|but|or|also)\b|以及|还有|但是|不过|而且", re.IGNORECASE
)
# A sentence about oneself says no as well as yes; the words before the name tell which.
NEGATION = re.compile(
    r"\b(?:no|not|never|nothing|without|hate|hates|dislike|avoid|except|don['’]?t|doesn['’]?t|can['’]?t|won['’]?t"
    r"|isn['’]?t|bored|tired of|sick of|less)\b|不|没|别|讨厌|厌恶|拒绝|除了|腻了",
    re.IGNORECASE,
)
NO_NEGATION = re.compile(r"\bnot only\b|\bnot just\b|\bno matter\b|不仅|不只|不但|不错|不断", re.IGNORECASE)
MAX_DESCRIPTION = 2000
MAX_SENTENCE = 4000


@dataclass(frozen=True)
class Subject:
    """Something to find interests in: an item, or a clause of what the person wrote."""

    title: str
    description: str = ""
    kinds: tuple[str, ...] = ()
    """The item's own domain and categories; empty for a sentence."""
    attributes: tuple[tuple[str, str], ...] = ()
    is_text: bool = False
    negative: bool = False
    """Whether the clause says that the person does not want it."""

    @property
    def key(self) -> str:
        """Equal for subjects that read alike."""
        return repr((self.title, self.description, self.kinds, self.attributes, self.is_text))


def item_subject(item: Item) -> Subject:
    """The subject an item makes."""
    kinds = ((item.domain,) if item.domain else ()) + item.categories
    return Subject(
        title=item.title,
        description=item.description[:MAX_DESCRIPTION],
        kinds=kinds,
        attributes=tuple(sorted(item.attributes.items())),
    )


def entry_subjects(entry: HistoryEntry) -> list[Subject]:
    """The subjects of an event: its item, or the clauses of its text where there is no item.

    The text of a review says how the person found the item, not what it is about, so the item speaks.
    """
    if entry.item is not None:
        return [item_subject(entry.item)]
    clauses = split_clauses(entry.event.text or "")
    if entry.event.action != "say":
        return (
            [Subject(title=clause, is_text=True) for clause in clauses[:1]]
            if len(clauses) == 1
            else [Subject(title=(entry.event.text or "").strip()[:MAX_SENTENCE], is_text=True)]
        )
    return [Subject(title=clause, is_text=True, negative=is_negative(clause)) for clause in clauses]


def split_clauses(text: str) -> list[str]:
    """Cut a sentence where it may turn to something else; empty pieces are left out."""
    clauses = [clause.strip() for clause in CLAUSE_END.split(text[:MAX_SENTENCE])]
    return [clause for clause in clauses if clause] or ([text.strip()[:MAX_SENTENCE]] if text.strip() else [])


def is_negative(clause: str) -> bool:
    """Whether a clause turns something away."""
    return bool(NEGATION.search(NO_NEGATION.sub(" ", clause)))


def language_of(texts: Sequence[str]) -> str:
    """`zh` when most letters are Chinese characters, else `en`."""
    joined = " ".join(texts)
    chinese = sum(len(run) for run in CJK_RUN.findall(joined))
    # A Chinese character says about as much as an English word of four letters.
    return "zh" if chinese * 4 > sum(1 for _ in LETTER.finditer(joined)) - chinese else "en"
