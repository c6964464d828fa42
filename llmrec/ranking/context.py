"""What a ranking prompt says of a person and of an item."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from llmrec.behavior.events import Item
from llmrec.errors import InputError
from llmrec.interests.profile import InterestProfile
from llmrec.interests.subjects import wanted_words

MAX_ITEMS = 20
MAX_WORDS = 5
MAX_INTERESTS = 6
MAX_INTERESTS_ALONE = 20
MAX_HINTS = 20

Basis = Literal["both", "history", "profile"]
"""What of a person is ranked by: the events, the interests found in them, or both."""


def check_basis(basis: str) -> None:
    """Raise InputError for what is no basis."""
    if basis not in get_args(Basis):
        raise InputError(f"the basis is {basis!r}: choose among {', '.join(get_args(Basis))}")


@dataclass(frozen=True)
class ItemLine:
    """An item as one line of a prompt."""

    title: str
    categories: str
    description: str = ""


@dataclass(frozen=True)
class PersonContext:
    """The part of a profile that a prompt shows, the oldest first."""

    interests: tuple[str, ...]
    words: tuple[str, ...]
    items: tuple[ItemLine, ...]

    def shortened(self) -> PersonContext | None:
        """The same without the older half of the items, then of the words; None when nothing can go."""
        if len(self.items) > 1:
            return PersonContext(self.interests, self.words, self.items[len(self.items) // 2 :])
        if len(self.words) > 1:
            return PersonContext(self.interests, self.words[len(self.words) // 2 :], self.items)
        return None


def person_context(
    profile: InterestProfile, *, whole_sentences: bool, basis: Basis = "both"
) -> PersonContext:
    """Choose what to show: the last 20 liked items, the last 5 texts, the 6 heaviest narrow interests.

    On the basis of the profile alone, the 20 heaviest interests and hints and nothing else; on that of the
    history alone, no interests.

    Without `whole_sentences` the clauses that say no are left out: to a likelihood, "no horror" is a reason
    to expect more horror. A model that grades can be told.
    """
    items: dict[str, ItemLine] = {}
    words: list[str] = []
    for entry in profile.standing_entries:
        if entry.weight <= 0:
            continue
        if entry.item is not None:
            # A later event on the same item moves it to the end.
            items.pop(entry.item.id, None)
            items[entry.item.id] = item_line(entry.item)
        elif said := (entry.event.text or "") if whole_sentences else wanted_words(entry):
            words.append(said)
    leaves = [i for i in profile.hierarchy.leaves() if i.polarity == "positive" and i.weight > 0]
    leaves.sort(key=lambda interest: (-interest.weight, interest.id))
    most = {"both": MAX_INTERESTS, "profile": MAX_INTERESTS_ALONE, "history": 0}[basis]
    labels = [interest.label for interest in leaves[:most]]
    if basis == "profile":
        labels += [hint.label for hint in profile.hints if hint.balance > 0][:MAX_HINTS]
        return PersonContext(interests=tuple(dict.fromkeys(labels)), words=(), items=())
    return PersonContext(
        interests=tuple(dict.fromkeys(labels)),
        words=tuple(words[-MAX_WORDS:]),
        items=tuple(list(items.values())[-MAX_ITEMS:]),
    )


def shortening_notes(person: PersonContext, shown: PersonContext) -> list[str]:
    """Say how many of a person's events were left out of what was shown; nothing when none were."""
    left_out = len(person.items) - len(shown.items) + len(person.words) - len(shown.words)
    if not left_out:
        return []
    return [f"the model read all but the {left_out} oldest events, which do not fit its context"]


def item_line(item: Item) -> ItemLine:
    """An item as one line of a prompt."""
    return ItemLine(item.title, ", ".join(item.categories), item.description)
