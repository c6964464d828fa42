"""What a reader of a profile or a ranking should know besides."""

from __future__ import annotations

from collections.abc import Sequence

from llmrec.behavior.events import Catalog
from llmrec.ranking.base import Failure


def displaced_note(event_ids: Sequence[str]) -> list[str]:
    """Say that events took the place of others with their ids; nothing when none did."""
    if not event_ids:
        return []
    return [
        f"{len(event_ids)} events share an id with other events that were kept of this person before (first: "
        f"{event_ids[0]!r}); the store now holds the new ones: give each event an id of its own to keep both"
    ]


def nothing_to_rank_note(catalog: Catalog, candidates: object) -> str:
    """Say why there is no item to rank."""
    if candidates is not None:
        return "there are no candidates: give at least one"
    if not catalog:
        return "the catalogue is empty: give the Recommender items, or name candidates"
    return "the person already knows every item of the catalogue: add items, or allow repeats"


def nothing_known_note(*, with_log: bool) -> str:
    """Say how items stand for somebody of whom nothing is known."""
    if with_log:
        return "nothing is known of this person, so the items stand by how many people chose them"
    return (
        "nothing is known of this person, so the first items stand in the order of their ids: "
        "give an event, or a sentence with the action 'say'"
    )


def failure_notes(failures: Sequence[Failure]) -> list[str]:
    """Say what of the model's part failed and what stood in for it: the first failure, and how many more."""
    if not failures:
        return []
    first = failures[0]
    more = f"; and {len(failures) - 1} more failures" if len(failures) > 1 else ""
    return [f"{first.what} failed ({first.reason}): {first.stand_in} stood in for it{more}"]
