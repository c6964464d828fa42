"""Memory: the most that a process holds, ours and the high-level class's."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

from benchmarks.comparison import Comparison, Workbench
from llmrec.llm.local_facts import peak_memory

CONTEXT = 8192
PEOPLE = 6
LONG_TOKENS = 4000
MEGABYTES_ALLOWED = 700


def most_held(bench: Workbench) -> list[Comparison]:
    """Ours scores for three people, generates, and answers by a schema; the other evaluates one prompt."""
    sides: list[float] = []
    for work in (_ours, _high_level):
        bench.tell(f"peak memory, {work.__name__.strip('_').replace('_', '-')}")
        with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
            sides.append(pool.apply(work, (bench.path, bench.threads)))
    ours, other = sides
    return [
        Comparison(
            name="peak memory",
            ours=f"context of {CONTEXT}: {PEOPLE} people, a text of about {LONG_TOKENS} tokens, two answers",
            other=f"Llama(n_ctx={CONTEXT}, logits_all=True): one prompt of 1,000 tokens",
            unit="MB",
            ours_values=[ours],
            other_values=[other],
        ),
        Comparison(
            name="peak memory, bound",
            ours="the same",
            other="the bound",
            unit="MB",
            ours_values=[ours],
            other_values=[MEGABYTES_ALLOWED],
            ratio_is="ours / other",
            target="<= 1",
        ),
    ]


def _ours(path: Path, threads: int) -> float:
    from benchmarks.engine_generation import QUESTION, Interest
    from benchmarks.engine_scoring import PREFIX_TOKENS, scenario

    bench = Workbench(path=path, threads=threads, runs=1, tell=lambda _: None)
    with bench.model(context_length=CONTEXT) as model:
        for _ in range(PEOPLE):
            asked = scenario(bench, model)
            model.score(asked.prefix, asked.candidates[:2])
        words = bench.text(PREFIX_TOKENS, model.tokenize).split()
        long = " ".join(words * (LONG_TOKENS // PREFIX_TOKENS))
        model.score(long, [" yes", " no"])
        model.generate(QUESTION, max_tokens=32)
        model.generate(QUESTION, max_tokens=64, schema=Interest.model_json_schema())
    return _peak()


def _high_level(path: Path, threads: int) -> float:
    import llama_cpp

    llama = llama_cpp.Llama(
        str(path), n_ctx=CONTEXT, n_threads=threads, n_threads_batch=threads, logits_all=True, verbose=False
    )
    llama.eval(llama.tokenize(b"A reader who comes in from the rain finds a book. " * 90)[:1000])
    llama.close()
    return _peak()


def _peak() -> float:
    """The most this process held at once, in MB."""
    peak = peak_memory()
    if peak is None:
        raise SystemExit("this system does not tell how much memory a process had: leave out --only memory")
    return peak / 1e6
