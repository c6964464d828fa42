"""The whole job on the sample data: seconds by stage, tokens and peak memory, first time and once more.

    python -m benchmarks.whole_job --runs 5

Each run is a process of its own. The first side starts with an empty store; the second asks the same again
with the store of the first, so that the answers of the model come from it. Medians, with the range of the
runs in brackets.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
from pathlib import Path

from pydantic import BaseModel

from benchmarks.machine import describe_machine, shown
from llmrec.demo import run_demo
from llmrec.settings import load_settings
from llmrec.store import Store

STAGES = ("opening_the_model", "reading", "finding_interests", "ranking", "explanation", "total")


class Measurement(BaseModel):
    """One run of the demo."""

    seconds: dict[str, float]
    calls: int
    cached_calls: int
    prompt_tokens: int
    completion_tokens: int
    peak_megabytes: float


def measure(model: str, store_path: Path) -> Measurement:
    """Run the demo in this process, with a store."""
    store = Store(store_path)
    result = run_demo(model=model, settings=load_settings(), store=store)
    store.close()
    return Measurement(
        seconds=result.seconds.model_dump(),
        calls=result.usage.calls,
        cached_calls=result.usage.cached_calls,
        prompt_tokens=result.usage.prompt_tokens,
        completion_tokens=result.usage.completion_tokens,
        peak_megabytes=(result.peak_memory_bytes or 0) / 1e6,
    )


def main() -> None:
    """Measure both sides and print them as a table, or as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3, help="how often each side is run (default 3)")
    parser.add_argument("--model", default="embedded", help="the model to measure (default embedded)")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the table")
    arguments = parser.parse_args()

    sides: dict[str, list[Measurement]] = {"first time": [], "once more": []}
    context = multiprocessing.get_context("spawn")
    # The model file is prepared before anything is measured.
    with tempfile.TemporaryDirectory() as folder, context.Pool(1, maxtasksperchild=1) as pool:
        pool.apply(measure, (arguments.model, Path(folder) / "warm-up.sqlite3"))
        for run in range(arguments.runs):
            path = Path(folder) / f"run-{run}.sqlite3"
            for side in sides.values():
                side.append(pool.apply(measure, (arguments.model, path)))

    machine = describe_machine()
    if arguments.json:
        found = {name: [run.model_dump() for run in runs] for name, runs in sides.items()}
        print(json.dumps({"machine": machine, "model": arguments.model, "sides": found}, indent=2))
        return
    print(f"model {arguments.model}; {arguments.runs} runs; {', '.join(machine.values())}\n")
    print(f"{'':24}" + "".join(f"{name:>24}" for name in sides))
    for stage in STAGES:
        cells = [shown([run.seconds[stage] for run in runs], 2) for runs in sides.values()]
        print(f"{stage.replace('_', ' ') + ', s':24}" + "".join(f"{cell:>24}" for cell in cells))
    for field, label in (
        ("calls", "model calls"),
        ("cached_calls", "calls from the store"),
        ("prompt_tokens", "tokens read"),
        ("completion_tokens", "tokens written"),
        ("peak_megabytes", "peak memory, MB"),
    ):
        cells = [shown([float(getattr(run, field)) for run in runs], 0) for runs in sides.values()]
        print(f"{label:24}" + "".join(f"{cell:>24}" for cell in cells))


if __name__ == "__main__":
    main()
