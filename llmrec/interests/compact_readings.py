"""Readings as short JSON: thousands of labels share some hundred paths, which are written once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmrec.interests.extraction import EventLabel, EventReading, PathStep

NEGATIVE, PROPOSED, MINOR = 1, 2, 4
BY_MODEL, FIXED = 1, 2


def compact(readings: Sequence[EventReading]) -> dict[str, Any]:
    """All paths, as lists of [id, label], and for each event its marks and its labels.

    A label is [the place of its path in the list, its share, its marks]; marks are sums of the constants
    above.
    """
    paths: list[tuple[PathStep, ...]] = []
    places: dict[tuple[str, ...], int] = {}
    events = []
    for reading in readings:
        labels = []
        for label in reading.labels:
            # Steps are hashed slowly, and their texts fast.
            texts = tuple([text for step in label.path for text in (step.id, step.label)])
            place = places.get(texts)
            if place is None:
                place = places[texts] = len(paths)
                paths.append(label.path)
            marks = NEGATIVE * label.negative + PROPOSED * label.proposed + MINOR * label.minor
            labels.append([place, label.share, marks])
        events.append([BY_MODEL * reading.by_model + FIXED * reading.fixed, labels])
    return {"paths": [[[step.id, step.label] for step in path] for path in paths], "events": events}


def expanded(written: dict[str, Any]) -> list[EventReading]:
    """The readings that `compact` wrote. Raises ValueError for what it did not write."""
    try:
        paths = [tuple(PathStep(str(i), str(label)) for i, label in path) for path in written["paths"]]
        return [
            EventReading(
                labels=tuple(
                    EventLabel(
                        paths[place],
                        float(share),
                        negative=bool(marks & NEGATIVE),
                        proposed=bool(marks & PROPOSED),
                        minor=bool(marks & MINOR),
                    )
                    for place, share, marks in labels
                ),
                by_model=bool(event & BY_MODEL),
                fixed=bool(event & FIXED),
            )
            for event, labels in written["events"]
        ]
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"the readings are not as they are written: {error}") from error
