"""Scoring: against whole prompts, against a generated list, against a bare loop, and once more."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import llama_cpp
import numpy as np

from benchmarks.comparison import Comparison, Workbench, seconds_of
from llmrec.llm.llama_batch import Batch, Row
from llmrec.llm.llama_context import LlamaContext, Logits
from llmrec.llm.llama_cpp import LlamaCppModel

PREFIX_TOKENS = 400
CANDIDATES = 20
CANDIDATE_TOKENS = 20
FIRST_RANKING = f"{CANDIDATES} candidates × {CANDIDATE_TOKENS} tokens over {PREFIX_TOKENS}, new person"
LONG_RUNS = 2
"""At most so many where one takes half a minute."""
OPENING = "Things this person chose and liked:"


@dataclass
class Scenario:
    """One person's prefix and the candidates to rank."""

    prefix: str
    candidates: list[str]


def scenario(bench: Workbench, model: LlamaCppModel, *, prefix: str | None = None) -> Scenario:
    """20 candidates of 20 tokens over a prefix of 400, all of them new."""
    tokenize = model.tokenize
    return Scenario(
        prefix or bench.text(PREFIX_TOKENS, tokenize, OPENING),
        [bench.text(CANDIDATE_TOKENS, tokenize, "\n-") for _ in range(CANDIDATES)],
    )


def against_whole_prompts(bench: Workbench) -> list[Comparison]:
    """The high-level class, which keeps one sequence: each prompt whole, with log-probabilities."""
    ours: list[float] = []
    other: list[float] = []
    llama = _high_level(bench, n_ctx=1024, logits_all=True)
    differences = []
    with bench.model() as model:
        for run in range(min(bench.runs, LONG_RUNS)):
            asked = scenario(bench, model)
            found: list[float] = []

            def whole(asked: Scenario = asked, found: list[float] = found) -> None:
                found += [_logprob_of_whole(llama, model, asked.prefix, text) for text in asked.candidates]

            bench.tell(f"whole prompts, run {run + 1}")
            other.append(seconds_of(whole))
            ours.append(seconds_of(lambda: model.score(asked.prefix, asked.candidates)))
            again = model.score(asked.prefix, asked.candidates)
            differences += [abs(score.logprob - value) for score, value in zip(again, found, strict=True)]
    llama.close()
    note = f"the same scores to {statistics.median(differences):.2f} nats (at most {max(differences):.2f})"
    return [
        Comparison(
            name="whole prompts",
            ours=FIRST_RANKING,
            other="Llama.eval of each prompt whole, log-probabilities of its last tokens",
            ours_values=ours,
            other_values=other,
            target=">= 10",
            note=note,
        ),
    ]


def against_echoed_prompts(bench: Workbench) -> list[Comparison]:
    """What the high-level class offers for it: a completion with echo and log-probabilities."""
    llama = _high_level(bench, n_ctx=1024, logits_all=True)
    with bench.model() as model:
        asked = scenario(bench, model)
        bench.tell("one prompt through create_completion")
        text = asked.prefix + asked.candidates[0]
        echoed = seconds_of(
            lambda: llama.create_completion(text, max_tokens=1, echo=True, logprobs=1, temperature=0)
        )
        ours = seconds_of(lambda: model.score(asked.prefix, asked.candidates))
    llama.close()
    return [
        Comparison(
            name="whole prompts, echoed",
            ours=FIRST_RANKING,
            other=f"Llama.create_completion(echo, logprobs=1): one prompt measured, times {CANDIDATES}",
            ours_values=[ours],
            other_values=[CANDIDATES * echoed],
            target=">= 10",
        )
    ]


def _logprob_of_whole(llama: llama_cpp.Llama, model: LlamaCppModel, prefix: str, candidate: str) -> float:
    head, tail = model.tokenize(prefix), model.tokenize(candidate)
    llama.reset()  # type: ignore[no-untyped-call]
    llama.eval([*head, *tail])
    logits = llama.scores[len(head) - 1 : len(head) + len(tail) - 1]
    logprobs = llama.logits_to_logprobs(logits)
    return float(logprobs[np.arange(len(tail)), tail].sum())


def _high_level(bench: Workbench, **options: Any) -> llama_cpp.Llama:
    """llama-cpp-python's own class on the same file, with as many threads and its usual batch."""
    return llama_cpp.Llama(
        str(bench.path),
        n_batch=512,
        n_threads=bench.threads,
        n_threads_batch=bench.threads,
        verbose=False,
        **options,
    )


def against_generated_list(bench: Workbench) -> list[Comparison]:
    """A listwise ranking: the model reads the titles and writes them again, or their numbers, in order."""
    ours: list[float] = []
    titles: list[float] = []
    numbers: list[float] = []
    llama = _high_level(bench, n_ctx=2048)
    with bench.model() as model:
        for run in range(min(bench.runs, LONG_RUNS)):
            bench.tell(f"generated list, run {run + 1}")
            asked = scenario(bench, model)
            prompt = (
                asked.prefix
                + "\n\nCandidates:"
                + "".join(
                    f"\n[{number}]{title[2:]}" for number, title in enumerate(asked.candidates, start=1)
                )
            )
            prompt += "\n\nThe candidates again, the best one for this person first:\n"
            order = bench.random.permutation(CANDIDATES)
            as_titles = model.tokenize("".join(asked.candidates[place] for place in order))
            as_numbers = model.tokenize(" > ".join(f"[{place + 1}]" for place in order))
            read = model.tokenize(prompt)
            for values, written in ((titles, as_titles), (numbers, as_numbers)):
                values.append(seconds_of(lambda: _write(llama, read, len(written))))
            ours.append(seconds_of(lambda: model.score(asked.prefix, asked.candidates)))
    llama.close()
    return [
        Comparison(
            name="generated list of titles",
            ours=FIRST_RANKING,
            other="Llama.generate: reads prefix and titles, writes as many tokens as the 20 titles have",
            ours_values=ours,
            other_values=titles,
            target=">= 4",
        ),
        Comparison(
            name="generated list of numbers",
            ours=FIRST_RANKING,
            other="the same, but writes only as many tokens as “[3] > [1] > …” has",
            ours_values=ours,
            other_values=numbers,
        ),
    ]


def _write(llama: llama_cpp.Llama, prompt: Sequence[int], count: int) -> None:
    """Greedy, and however the model ends: what is timed is the length of the right answer."""
    llama.reset()  # type: ignore[no-untyped-call]
    for written, _ in enumerate(llama.generate(prompt, temp=0.0), start=1):
        if written == count:
            return


def against_bare_loop(bench: Workbench) -> list[Comparison]:
    """llama_decode alone, over the same batches with the same logits, prepared before."""
    ours: list[float] = []
    other: list[float] = []
    with bench.model() as model:
        for run in range(bench.runs + 1):
            bench.tell(f"bare loop, run {run + 1}")
            asked = scenario(bench, model)
            model._context.forget()
            recorded = _RecordedCalls(model._context)
            with recorded:
                own = seconds_of(lambda: model.score(asked.prefix, asked.candidates))
            bare = seconds_of(recorded.replay)
            if run:
                # The first run warms up.
                ours.append(recorded.tokens / own)
                other.append(recorded.tokens / bare)
    return [
        Comparison(
            name="bare loop",
            ours="score(): tokenising, planning, decoding, normalising",
            other="llama_decode over the same batches, prepared before",
            unit="tokens/s",
            ours_values=ours,
            other_values=other,
            ratio_is="ours / other",
            target=">= 0.88",
        )
    ]


class _RecordedCalls:
    """The batches and branches of a call, to be sent to llama.cpp once more without anything of ours."""

    def __init__(self, context: LlamaContext) -> None:
        self._context = context
        self._decode, self._branched = context.decode, context.branched
        self._steps: list[Batch | int] = []
        self.tokens = 0

    def __enter__(self) -> None:
        def decode(rows: Sequence[Row]) -> Logits:
            batch = Batch(llama_cpp, self._context.batch_tokens)
            batch.fill(rows)
            self._steps.append(batch)
            self.tokens += len(rows)
            return self._decode(rows)

        def branched(count: int) -> contextlib.AbstractContextManager[None]:
            self._steps.append(count)
            return self._branched(count)

        self._context.decode = decode  # type: ignore[method-assign]
        self._context.branched = branched  # type: ignore[method-assign, assignment]

    def __exit__(self, *_: object) -> None:
        del self._context.decode, self._context.branched

    def replay(self) -> None:
        """Decode the same batches from an empty memory on."""
        memory, context = self._context._memory, self._context._context
        llama_cpp.llama_memory_clear(memory, True)
        branches = 0
        for step in self._steps:
            if isinstance(step, Batch):
                assert llama_cpp.llama_decode(context, step.raw) == 0
                llama_cpp.llama_get_logits(context)
                continue
            for sequence in range(1, branches + 1):
                llama_cpp.llama_memory_seq_rm(memory, sequence, -1, -1)
            for sequence in range(1, step + 1):
                llama_cpp.llama_memory_seq_cp(memory, 0, sequence, -1, -1)
            branches = step
        self._context.forget()


def second_ranking(bench: Workbench) -> list[Comparison]:
    """Twenty new candidates for the same person, and for one who came back after others."""
    first: list[float] = []
    second: list[float] = []
    returned: list[float] = []
    with bench.model() as model:
        for run in range(bench.runs + 1):
            bench.tell(f"second ranking, run {run + 1}")
            asked, others = scenario(bench, model), scenario(bench, model)
            more = scenario(bench, model, prefix=asked.prefix)
            once_more = scenario(bench, model, prefix=asked.prefix)
            timings = [
                seconds_of(lambda: model.score(asked.prefix, asked.candidates)),
                seconds_of(lambda: model.score(more.prefix, more.candidates)),
            ]
            model.score(others.prefix, others.candidates)
            timings.append(seconds_of(lambda: model.score(once_more.prefix, once_more.candidates)))
            if run:
                for values, seconds in zip((first, second, returned), timings, strict=True):
                    values.append(seconds)
    return [
        Comparison(
            name="second ranking",
            ours="20 new candidates for the same person",
            other="the first 20 for this person",
            ours_values=second,
            other_values=first,
            ratio_is="ours / other",
            target="<= 0.6",
        ),
        Comparison(
            name="second ranking, after another person",
            ours="20 new candidates for a person who was ranked before another one",
            other="the first 20 for this person",
            ours_values=returned,
            other_values=first,
            ratio_is="ours / other",
            target="<= 0.6",
        ),
    ]


def many_prompts(bench: Workbench) -> list[Comparison]:
    """Forty questions that differ at their end, with one word to score: in one pass and in turn."""
    together: list[float] = []
    in_turn: list[float] = []
    with bench.model() as model:
        for run in range(bench.runs + 1):
            bench.tell(f"many prompts, run {run + 1}")
            trunk = bench.text(PREFIX_TOKENS, model.tokenize, OPENING)
            prompts = [bench.text(CANDIDATE_TOKENS // 2, model.tokenize, "\nGood:") for _ in range(40)]
            prefixes = [trunk + prompt for prompt in prompts]
            model.score(trunk, [" yes"])
            one = seconds_of(lambda: [model.score(prefix, [" yes", " no"]) for prefix in prefixes])
            model.score(trunk, [" yes"])
            other = seconds_of(lambda: model.score_prefixes(prefixes, [" yes", " no"]))
            if run:
                in_turn.append(one)
                together.append(other)
    return [
        Comparison(
            name="many prompts",
            ours="score_prefixes of 40 prompts that go on from one trunk",
            other="score of each in turn, the trunk remembered",
            ours_values=together,
            other_values=in_turn,
        )
    ]
