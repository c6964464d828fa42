"""Readings as short JSON: thousands of labels share some hundred steps, which are written once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmrec.interests.extraction import EventLabel, EventReading, PathStep

NEGATIVE, PROPOSED, MINOR = 1, 2, 4
BY_MODEL, FIXED = 1, 2


def compact(readings: Sequence[EventReading]) -> dict[str, Any]:
    """The steps of all paths, as [id, label], and for each event its marks and its labels.

    A label is [its steps' places in the list, its share, its marks]; marks are sums of the constants above.
    """
    places: dict[PathStep, int] = {}
    events = []
    for reading in readings:
        labels = [
            [
                [places.setdefault(step, len(places)) for step in label.path],
                label.share,
                NEGATIVE * label.negative + PROPOSED * label.proposed + MINOR * label.minor,
            ]
            for label in reading.labels
        ]
        events.append([BY_MODEL * reading.by_model + FIXED * reading.fixed, labels])
    return {"steps": [[step.id, step.label] for step in places], "events": events}


def expanded(written: dict[str, Any]) -> list[EventReading]:
    """The readings that `compact` wrote. Raises ValueError for what it did not write."""
    try:
        steps = [PathStep(str(step_id), str(label)) for step_id, label in written["steps"]]
        return [
            EventReading(
                labels=tuple(
                    EventLabel(
                        tuple(steps[place] for place in path),
                        float(share),
                        negative=bool(marks & NEGATIVE),
                        proposed=bool(marks & PROPOSED),
                        minor=bool(marks & MINOR),
                    )
                    for path, share, marks in labels
                ),
                by_model=bool(event & BY_MODEL),
                fixed=bool(event & FIXED),
            )
            for event, labels in written["events"]
        ]
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"the readings are not as they are written: {error}") from error
