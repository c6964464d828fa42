"""Threads: one model, many callers, some of whom change their mind."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import numpy as np

from benchmarks.comparison import Comparison, Workbench
from llmrec.errors import CallCancelledError
from llmrec.llm.base import Message
from llmrec.llm.cancellation import Cancellation
from llmrec.llm.llama_cpp import LlamaCppModel

THREADS = 8
CALLS = 50
CANCELLED_SHARE = 0.3
LATEST_CANCEL = 0.08
"""Seconds after the model began with a call: most are cut in the middle of an evaluation."""
TOLERANCE = 0.1
"""Nats for a score of a few tokens: half floats add up otherwise in batches of another shape."""
DEADLOCK_SECONDS = 240
PREFIX_TOKENS = 110
PEOPLE = 6


@dataclass
class Tally:
    """What became of the calls of all threads."""

    right: int = 0
    cancelled: int = 0
    cut_within: int = 0
    """Those of the cancelled ones that the model was at work on."""
    wrong: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, **amounts: int) -> None:
        """Count."""
        with self.lock:
            for name, amount in amounts.items():
                setattr(self, name, getattr(self, name) + amount)


class Cutter:
    """Cancels calls a moment after the model began to work on them."""

    def __init__(self, model: LlamaCppModel) -> None:
        self._pending: dict[int, tuple[Cancellation, float]] = {}
        self._decode = model._context.decode
        self.cut: set[int] = set()

        def decode(rows: object) -> object:
            waiting = self._pending.pop(threading.get_ident(), None)
            if waiting is None:
                return self._decode(rows)  # type: ignore[arg-type]
            cancellation, seconds = waiting
            timer = threading.Timer(seconds, cancellation.cancel)
            timer.start()
            try:
                return self._decode(rows)  # type: ignore[arg-type]
            except CallCancelledError:
                self.cut.add(id(cancellation))
                raise

        model._context.decode = decode  # type: ignore[method-assign, assignment]

    def plan(self, cancellation: Cancellation, seconds: float) -> None:
        """Cancel this thread's next call so long after its first evaluation begins."""
        self._pending[threading.get_ident()] = (cancellation, seconds)

    def forget(self) -> None:
        """The call of this thread is over."""
        self._pending.pop(threading.get_ident(), None)


def crowd(bench: Workbench) -> list[Comparison]:
    """8 threads × 50 calls, three in ten cancelled at a random moment; compared with one thread's answers."""
    continuations = [" Solaris", " The Matrix", " a cookery book", " Solaris again"]
    tally = Tally()
    with bench.model() as model:
        prefixes = [bench.text(PREFIX_TOKENS, model.tokenize, f"Person {n}:") for n in range(PEOPLE)]
        expected = {prefix: _logprobs(model, prefix, continuations) for prefix in prefixes}
        answers = {prefix: _answer(model, prefix) for prefix in prefixes}
        cutter = Cutter(model)

        def call(random: np.random.Generator) -> None:
            prefix = prefixes[random.integers(len(prefixes))]
            cancellation = Cancellation()
            if random.random() < CANCELLED_SHARE:
                cutter.plan(cancellation, random.random() * LATEST_CANCEL)
            try:
                if random.random() < 0.5:
                    found = _logprobs(model, prefix, continuations, cancellation)
                    close = np.allclose(found, expected[prefix], atol=TOLERANCE, rtol=0)
                    tally.add(right=int(close), wrong=int(not close))
                else:
                    answer = model.generate(_question(prefix), max_tokens=4, cancellation=cancellation)
                    fits = answers[prefix].startswith(answer.text)
                    whole = answer.finish_reason != "cancelled"
                    tally.add(
                        right=int(fits and whole), cancelled=int(fits and not whole), wrong=int(not fits)
                    )
                    tally.add(cut_within=int(not whole and id(cancellation) in cutter.cut))
            except CallCancelledError:
                tally.add(cancelled=1, cut_within=int(id(cancellation) in cutter.cut))
            finally:
                cutter.forget()

        def work(seed: int) -> None:
            random = np.random.default_rng(seed)
            for _ in range(CALLS):
                call(random)

        bench.tell(f"{THREADS} threads × {CALLS} calls")
        began = time.monotonic()
        threads = [threading.Thread(target=work, args=(seed,), daemon=True) for seed in range(THREADS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, began + DEADLOCK_SECONDS - time.monotonic()))
        if any(thread.is_alive() for thread in threads):
            raise SystemExit(f"the threads were not done after {DEADLOCK_SECONDS} s")
        seconds = time.monotonic() - began
    return [
        Comparison(
            name="threads",
            ours="calls that gave one thread's answer, or were cancelled",
            other=f"calls: {THREADS} threads × {CALLS}, some cancelled at a random moment",
            unit="calls",
            ours_values=[tally.right + tally.cancelled],
            other_values=[THREADS * CALLS],
            ratio_is="ours / other",
            target=">= 1",
            note=f"{tally.cancelled} cancelled, {tally.cut_within} of them within an evaluation; scores "
            f"equal to {TOLERANCE} nats, answers to the letter; {seconds:.0f} s",
        )
    ]


def _logprobs(
    model: LlamaCppModel, prefix: str, continuations: list[str], cancellation: Cancellation | None = None
) -> list[float]:
    return [score.logprob for score in model.score(prefix, continuations, cancellation=cancellation)]


def _question(prefix: str) -> list[Message]:
    return [Message(role="user", content=prefix)]


def _answer(model: LlamaCppModel, prefix: str) -> str:
    return model.generate(_question(prefix), max_tokens=4).text
