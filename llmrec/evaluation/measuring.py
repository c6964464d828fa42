"""From scores to figures, where the targets are known: only the judge's process calls this."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from llmrec.behavior.events import Catalog
from llmrec.errors import InputError
from llmrec.evaluation.metrics import figures
from llmrec.evaluation.prepared import QueryFigures
from llmrec.evaluation.protocols import Case


def measure_system(
    name: str, scores: Path, cases: Sequence[Case], catalog: Catalog, at: Sequence[int]
) -> Iterator[QueryFigures]:
    """The figures of each query whose scores are in the file, in the order of the cases.

    Of several rows on one query the last counts, and a last line that was torn is no row. A row without one
    finite score for each candidate has the worst figures, all 0, and says why. A query over the whole
    catalogue is measured without the items of the history that it did not show.
    Raises InputError when the file cannot be read, and for scores of a query that was not asked.
    """
    rows = _last_rows(scores)
    asked = {case.query.id for case in cases}
    if stranger := next((query for query in rows if query not in asked), None):
        raise InputError(
            f"{scores} holds scores of a query {stranger[:60]!r} that was not asked: it is of another run"
        )
    catalog_ids = list(catalog)
    for case in cases:
        if case.query.id in rows:
            # Read one by one: the scores of whole catalogues do not fit into memory together.
            yield _figures(name, case, _row_at(scores, rows[case.query.id]), catalog_ids, at)


def _figures(
    system: str, case: Case, row: dict[str, Any], catalog_ids: Sequence[str], at: Sequence[int]
) -> QueryFigures:
    query = case.query
    ids: Sequence[str] = query.candidates
    if not ids:
        shown = {event.item_id for event in query.events}
        ids = [item_id for item_id in catalog_ids if item_id not in shown]
    fault = str(row["error"]) if row.get("error") else _fault(row.get("scores"), len(ids))
    found: dict[str, Any] = {
        "query": query.id,
        "user_id": query.user_id,
        "system": system,
        "history_length": len(query.events),
    }
    if fault:
        names = figures([0.0, 0.0], [True, False], at)
        return QueryFigures(**found, figures=dict.fromkeys(names, 0.0), failed=fault)
    scores = np.asarray(row["scores"], dtype=np.float64)
    kept = np.array([item_id not in case.consumed for item_id in ids], dtype=bool)
    targets = np.array([item_id in case.targets for item_id in ids], dtype=bool)
    values = figures(scores[kept], targets[kept], at)
    best = np.flatnonzero(kept)[np.argsort(-scores[kept], kind="stable")][: max(at)]
    found["figures"] = {metric: value for metric, value in values.items() if math.isfinite(value)}
    found["top"] = tuple(ids[place] for place in best)
    probabilities = row.get("probabilities")
    if probabilities is not None and not _fault(probabilities, len(ids)):
        found["target_probability"] = float(np.asarray(probabilities, dtype=np.float64)[targets].sum())
        if query.candidates:
            found["probabilities"] = tuple(probabilities)
            found["taken"] = tuple(bool(target) for target in targets)
    return QueryFigures(**found)


def _fault(values: Any, count: int) -> str:
    """Why a list is not one finite number for each of `count` candidates; empty when it is."""
    if not isinstance(values, list):
        return "it has no list of scores"
    if len(values) != count:
        return f"it has {len(values)} scores for {count} candidates"
    for place, value in enumerate(values, start=1):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or abs(value) > 1e300 or not math.isfinite(value):
            return f"its score number {place} is not a finite number"
    return ""


def _last_rows(path: Path) -> dict[str, int]:
    """Where the last row on each query begins."""
    found: dict[str, int] = {}
    at = 0
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.endswith(b"\n") and line.strip():
                    try:
                        query = json.loads(line)["query"]
                        found[str(query)] = at
                    except (ValueError, KeyError, TypeError, RecursionError):
                        raise InputError(
                            f"{path}, line {number} is not a row of scores: remove the file, and the system "
                            "is asked again"
                        ) from None
                at += len(line)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    return found


def _row_at(path: Path, start: int) -> dict[str, Any]:
    with path.open("rb") as file:
        file.seek(start)
        row: dict[str, Any] = json.loads(file.readline())
    return row
