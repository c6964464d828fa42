"""AMX: the same file with it and without repacked weights, on a machine and a build that use it."""

from __future__ import annotations

from benchmarks.comparison import Comparison, Workbench, seconds_of
from benchmarks.engine_scoring import scenario
from llmrec.llm.llama_build import inspect_build
from llmrec.settings import load_settings

PREFILL_TOKENS = 512


def with_and_without(bench: Workbench) -> list[Comparison]:
    """Prefill of 512 tokens, and the first ranking of 20 candidates; nothing where AMX is not at work."""
    report = inspect_build(load_settings().cache_dir)
    if not report.uses_amx:
        bench.tell("AMX is not compared: this machine or this build of llama.cpp has none")
        return []
    prefill: dict[bool, list[float]] = {True: [], False: []}
    ranking: dict[bool, list[float]] = {True: [], False: []}
    with bench.model(repack=True) as fast, bench.model(repack=False) as plain:
        for run in range(bench.runs + 1):
            bench.tell(f"AMX, run {run + 1}")
            for repacked, model in ((True, fast), (False, plain)):
                long = bench.text(PREFILL_TOKENS, model.tokenize)
                asked = scenario(bench, model)
                seconds = seconds_of(lambda: model.score(long, [" yes"]))
                whole = seconds_of(lambda: model.score(asked.prefix, asked.candidates))
                if run:
                    prefill[repacked].append(PREFILL_TOKENS / seconds)
                    ranking[repacked].append(whole)
    return [
        Comparison(
            name="prefill with AMX",
            ours=f"{PREFILL_TOKENS} tokens, AMX",
            other="the same file without repacked weights",
            unit="tokens/s",
            ours_values=prefill[True],
            other_values=prefill[False],
            ratio_is="ours / other",
            target=">= 2",
        ),
        Comparison(
            name="scoring with AMX",
            ours="20 candidates × 20 tokens over 400, AMX",
            other="the same file without repacked weights",
            ours_values=ranking[True],
            other_values=ranking[False],
            target=">= 1.7",
        ),
    ]
