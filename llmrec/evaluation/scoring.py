"""Queries through a system, one after the other, each on the disk before the next begins."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from llmrec.errors import InputError, LlmrecError
from llmrec.evaluation.score_files import Price, ScoreFile
from llmrec.evaluation.types import Query, Scored, System

MOST_FAILURES_IN_A_ROW = 5


@dataclass(frozen=True)
class EvaluationProgress:
    """How far an evaluation is."""

    stage: str
    """What is going on, for example `ranking by bm25`."""
    done: int = 0
    total: int | None = None
    """None where nobody knows."""
    queries_per_second: float | None = None
    """How fast queries were ranked since this stage began; None before the first."""
    seconds_left: float | None = None
    """Until this stage ends, if it goes on as fast."""


ProgressListener = Callable[[EvaluationProgress], None]
ToOriginal = Callable[[Query, Scored], Scored]
"""Puts the scores of a changed query in the order of the original's candidates."""


def score_queries(
    system: System,
    queries: Sequence[Query],
    file: ScoreFile,
    *,
    stage: str,
    progress: ProgressListener | None = None,
    to_original: ToOriginal | None = None,
    most_failures_in_a_row: int = MOST_FAILURES_IN_A_ROW,
) -> dict[str, Price]:
    """Score the queries that the file does not hold yet, and add each to it at once.

    A query at which the system raises, whatever it is, is recorded as failed, and the rest goes on; the next
    run tries it again. Returns what each query cost that has scores, by id.
    Raises InputError when `most_failures_in_a_row` queries fail one after the other, and when the file cannot
    be written.
    """
    tell = progress or _nobody
    prices = file.resume([query.id for query in queries], _sizes(queries))
    waiting = [query for query in queries if query.id not in prices]
    done_before = len(prices)
    if not waiting:
        return prices
    tell(EvaluationProgress(stage, done_before, len(queries)))
    in_a_row = 0
    began = time.perf_counter()
    with file.appending() as writer:
        for number, query in enumerate(waiting, start=1):
            started = time.perf_counter()
            try:
                scored = system.scores(query)
            except Exception as error:
                reason = str(error) if isinstance(error, LlmrecError) else f"{type(error).__name__}: {error}"
                writer.write_failure(query.id, reason, seconds=time.perf_counter() - started)
                in_a_row += 1
                if in_a_row >= most_failures_in_a_row:
                    raise InputError(
                        f"{system.name} failed at {in_a_row} queries in a row, so the evaluation stops "
                        f"({reason.rstrip('.')}): mend the cause and run it again; it goes on from here"
                    ) from error
            else:
                in_a_row = 0
                writer.write(query.id, to_original(query, scored) if to_original else scored)
                prices[query.id] = Price(scored.seconds, scored.tokens, scored.failures, scored.notes)
            rate = number / max(time.perf_counter() - began, 1e-9)
            tell(
                EvaluationProgress(
                    stage, done_before + number, len(queries), rate, (len(waiting) - number) / rate
                )
            )
    return prices


@dataclass(frozen=True)
class Job:
    """Queries to put through a system, and where the scores go."""

    system: System
    queries: Sequence[Query]
    file: ScoreFile
    stage: str
    to_original: ToOriginal | None = None

    def is_done(self) -> bool:
        """Whether every query has its scores."""
        done = self.file.resume([query.id for query in self.queries], _sizes(self.queries))
        return len(done) == len(self.queries)

    def run(self, progress: ProgressListener | None = None) -> dict[str, Price]:
        """`score_queries` of it."""
        return score_queries(
            self.system,
            self.queries,
            self.file,
            stage=self.stage,
            progress=progress,
            to_original=self.to_original,
        )


def _sizes(queries: Sequence[Query]) -> dict[str, int]:
    """How many scores each query has that names its candidates."""
    return {query.id: len(query.candidates) for query in queries if query.candidates}


def fingerprint_of(system: System) -> str:
    """What a system says that it is; empty for one that does not say."""
    return str(getattr(system, "fingerprint", ""))


def _nobody(progress: EvaluationProgress) -> None:
    """Nobody listens."""
