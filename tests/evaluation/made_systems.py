"""Queries, material and systems that several tests of evaluation share."""

from __future__ import annotations

from collections.abc import Sequence

from llmrec.behavior.events import Catalog, Event, Item
from llmrec.candidates.log import InteractionLog
from llmrec.errors import LlmrecError, ModelError
from llmrec.evaluation.types import Material, Query, Scored

TITLES = {
    "a": "Red lantern",
    "b": "Blue lantern",
    "c": "Iron kettle",
    "d": "紫砂茶壶",
    "e": "Paper boat",
    "f": "小米手机",
}
CATALOG = Catalog(Item(id=item_id, title=title) for item_id, title in TITLES.items())
LOG = InteractionLog({"p": ["a", "b"], "q": ["a", "b", "c"], "r": ["c", "d"], "s": ["c"]})
MATERIAL = Material(CATALOG, LOG)


def query(
    name: str = "ana", history: Sequence[str] = ("a",), candidates: Sequence[str] = ("b", "c", "d", "e")
) -> Query:
    """A query whose events are one purchase a day."""
    events = tuple(
        Event(user_id=name, action="purchase", item_id=item_id, timestamp=1_700_000_000 + day * 86_400)
        for day, item_id in enumerate(history)
    )
    return Query(id=name, user_id=name, events=events, candidates=tuple(candidates))


class Failing:
    """A system that raises at some queries."""

    name = "failing"
    fingerprint = "1"

    def __init__(self, at: set[str], error: LlmrecError | None = None) -> None:
        self.at = at
        self.error = error or ModelError("the server did not answer: try again")
        self.asked: list[str] = []

    def scores(self, query: Query) -> Scored:
        self.asked.append(query.id)
        if query.id in self.at:
            raise self.error
        return Scored(scores=tuple(float(at) for at in range(len(query.candidates))), tokens=7)
