"""Small data sets for the tests of reading, splitting and judging."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

DAY = 86_400
BEGIN = 1_700_000_000


def write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> Path:
    """Write JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(r, ensure_ascii=False) + "\n" for r in records), "utf-8")
    return path


def shop(folder: Path, *, people: int = 30, items: int = 60, seed: int = 0, log: bool = True) -> Path:
    """People with a history, a target and two lists of negatives, as games has them."""
    draw = random.Random(seed)
    ids = [f"i{at}" for at in range(items)]
    write_lines(
        folder / "items.jsonl", [{"id": item_id, "title": f"thing {item_id} 茶壶"} for item_id in ids]
    )
    rows, sequences = [], []
    for at in range(people):
        drawn = draw.sample(ids, 16)
        user = f"u{at}"
        rows.append(
            {
                "user": user,
                "history": drawn[:5],
                "target": drawn[5],
                "random_negatives": drawn[6:11],
                "popular_negatives": drawn[11:16],
            }
        )
        sequences.append({"user": user, "items": drawn[:5]})
    write_lines(folder / "dev.jsonl", rows)
    if log:
        others = [{"user": f"x{at}", "items": draw.sample(ids, 4)} for at in range(10)]
        write_lines(folder / "interactions.jsonl", [*sequences, *others])
    return folder


def rated(folder: Path, events: Iterable[tuple[str, str, float, int]], items: Iterable[str]) -> Path:
    """A MovieLens folder: person, film, rating and day of each event."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(f"{u},{i},{r},{BEGIN + day * DAY}\n" for u, i, r, day in events)
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + lines, "utf-8")
    films = "".join(f"{item},Film {item} (1999),Drama|Comedy\n" for item in items)
    (folder / "movies.csv").write_text("movieId,title,genres\n" + films, "utf-8")
    return folder


def targets_of(folder: Path) -> dict[str, str]:
    """The target of each person of `shop`."""
    return {r["user"]: r["target"] for r in map(json.loads, (folder / "dev.jsonl").read_text().splitlines())}
