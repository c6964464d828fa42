"""The local engine against other ways to do the same with llama.cpp, both sides in one run.

    python -m benchmarks.local_engine
    python -m benchmarks.local_engine --only second_ranking --only bare_loop --runs 9
    python -m benchmarks.local_engine --only whole_prompts_echoed
    python -m benchmarks.local_engine --only validity --objects 500

Each figure is the median of the runs, with their range in brackets; the sides take turns, so that a machine
that slows down slows both. The table goes to the terminal and all figures to a JSON file. The texts are words
of the sample catalogue, cut to an exact number of tokens.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import engine_amx, engine_generation, engine_memory, engine_scoring, engine_threads
from benchmarks.comparison import Comparison, Workbench
from benchmarks.machine import describe_machine, shown
from llmrec.llm.embedded import prepare_embedded_model
from llmrec.llm.llama_bindings import usable_threads
from llmrec.llm.llama_build import inspect_build
from llmrec.settings import load_settings

ON_DEMAND = {"whole_prompts_echoed"}
"""What takes long, and is left out unless it is named."""
HIGH_LEVEL = {"whole_prompts", "whole_prompts_echoed", "generated_list", "memory"}
"""What needs llama-cpp-python's own class, which would end the process where repacked weights are unsafe."""

Section = Callable[[Workbench], list[Comparison]]

SECTIONS: dict[str, Section] = {
    "whole_prompts": engine_scoring.against_whole_prompts,
    "whole_prompts_echoed": engine_scoring.against_echoed_prompts,
    "generated_list": engine_scoring.against_generated_list,
    "bare_loop": engine_scoring.against_bare_loop,
    "second_ranking": engine_scoring.second_ranking,
    "many_prompts": engine_scoring.many_prompts,
    "amx": engine_amx.with_and_without,
    "generation": engine_generation.against_free_generation,
    "memory": engine_memory.most_held,
    "threads": engine_threads.crowd,
}


def main() -> None:
    """Measure, print the table, write the JSON; exit code 1 when something that was promised is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3, help="how often each side is run (default 3)")
    parser.add_argument("--objects", type=int, default=30, help="objects whose validity is counted (30)")
    parser.add_argument("--threads", type=int, default=usable_threads(), help="threads of llama.cpp")
    parser.add_argument("--only", action="append", choices=[*SECTIONS, "validity"], help="may be repeated")
    parser.add_argument("--output", type=Path, default=Path("local_engine.json"), help="the JSON file")
    arguments = parser.parse_args()

    sections: dict[str, Section] = dict(SECTIONS)
    sections["validity"] = lambda bench: engine_generation.validity(bench, arguments.objects)
    bench = Workbench(
        path=prepare_embedded_model(load_settings().cache_dir),
        threads=arguments.threads,
        runs=arguments.runs,
        tell=lambda what: print(f"… {what}", file=sys.stderr),
    )
    safe = inspect_build(load_settings().cache_dir).safe_with_repacking
    began = time.perf_counter()
    found: list[Comparison] = []
    for name, section in sections.items():
        if name not in (arguments.only or sections.keys() - ON_DEMAND):
            continue
        if name in HIGH_LEVEL and not safe:
            bench.tell(f"{name} is left out: the high-level class cannot do without repacked weights")
            continue
        started = time.perf_counter()
        found += section(bench)
        bench.tell(f"{name}: {time.perf_counter() - started:.0f} s")
    machine = {**describe_machine(), "threads": str(bench.threads), "model file": bench.path.name}
    seconds = time.perf_counter() - began
    print("\n".join([f"{key}: {value}" for key, value in machine.items()]))
    print(f"{seconds:.0f} s in all; in brackets the range of the runs, and how many there were\n")
    for comparison in found:
        print(_shown(comparison))
    document = {
        "machine": machine,
        "seconds": seconds,
        "comparisons": [comparison.model_dump() for comparison in found],
    }
    arguments.output.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"written to {arguments.output}")
    if any(comparison.reached is False for comparison in found):
        raise SystemExit(1)


def _shown(comparison: Comparison) -> str:
    state = {True: "reached", False: "MISSED", None: ""}[comparison.reached]
    digits = 0 if statistics.median(comparison.ours_values) >= 100 else 2
    lines = [
        comparison.name,
        f"  ours   {shown(comparison.ours_values, digits):>26} {comparison.unit:9} {comparison.ours}",
        f"  other  {shown(comparison.other_values, digits):>26} {comparison.unit:9} {comparison.other}",
        f"  ratio  {shown(comparison.ratios, 2):>26} {comparison.ratio_is}"
        + (f", promised {comparison.target}: {state}" if state else ""),
    ]
    if comparison.note:
        lines.append(f"         {comparison.note}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
