"""The profile of a person: the hierarchy with the history behind it and the account of how it was made."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from llmrec.behavior.cleaning import CleaningReport
from llmrec.behavior.events import History, HistoryEntry
from llmrec.interests.graph import InterestGraph, to_graph
from llmrec.interests.hierarchy import Interest, InterestHierarchy
from llmrec.llm.base import Usage


def _now() -> datetime:
    return datetime.now(tz=timezone.utc)


class InterestProfile(BaseModel):
    """What is known of a person's interests, with the evidence."""

    model_config = ConfigDict(frozen=True)

    user_id: str
    hierarchy: InterestHierarchy
    entries: tuple[HistoryEntry, ...]
    """The events the profile was made from, in the order of time, with their items and weights."""
    language: str
    """The language of labels and explanations: `en` or `zh`."""
    strategy: Literal["anchored", "open", "none"]
    """How the interests were found; `none` when there was nothing to read."""
    model: str
    """The fingerprint of the language model."""
    prompts: dict[str, str] = Field(default_factory=dict)
    """The fingerprint of each prompt template that was used, by name."""
    report: CleaningReport
    """What was merged, repaired or set aside among the events."""
    unlabelled: tuple[str, ...] = ()
    """The ids of events in which no interest was found."""
    notes: tuple[str, ...] = ()
    """What a reader should know about how the profile was made."""
    usage: Usage = Usage()
    """What the language model cost meanwhile; work that overlaps in other threads is counted in."""
    seconds: float = Field(default=0.0, ge=0)
    """How long it took."""
    created: datetime = Field(default_factory=_now)

    @property
    def history(self) -> History:
        """The events as a sequence."""
        return History(self.user_id, self.entries)

    @property
    def interests(self) -> tuple[Interest, ...]:
        """Every interest, parents before their children."""
        return self.hierarchy.interests

    @property
    def graph(self) -> InterestGraph:
        """The hierarchy as a new networkx graph, yours to edit; see `llmrec.interests.graph.to_graph`."""
        return to_graph(self.hierarchy)

    def tree(self) -> str:
        """The hierarchy as indented text: label, weight, number of supporting events."""
        return self.hierarchy.tree()

    def evidence(self, interest_id: str) -> list[HistoryEntry]:
        """The events behind an interest, in the order of time. Raises KeyError when there is none."""
        supporting = {evidence.event_id for evidence in self.hierarchy[interest_id].evidence}
        return [entry for entry in self.entries if entry.event.id in supporting]
