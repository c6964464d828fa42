"""What the benchmarks of the local engine share: a model, texts of an exact length, and comparisons."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, computed_field

from llmrec.demo import sample_items
from llmrec.llm.llama_cpp import LlamaCppModel


class Comparison(BaseModel):
    """Two ways to do one thing, run by run."""

    name: str
    ours: str
    """What was done on our side."""
    other: str
    """What was done on the other side."""
    unit: str = "s"
    ours_values: list[float]
    other_values: list[float]
    ratio_is: str = "other / ours"
    """How the ratio is formed: `other / ours` or `ours / other`, run by run."""
    target: str = ""
    """What must be reached, such as `>= 10`; empty where nothing was promised."""
    note: str = ""

    @computed_field  # type: ignore[prop-decorator]
    @property
    def ratios(self) -> list[float]:
        """The ratio of each run."""
        pairs = zip(self.ours_values, self.other_values, strict=True)
        inverted = self.ratio_is == "ours / other"
        return [ours / other if inverted else other / ours for ours, other in pairs]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def reached(self) -> bool | None:
        """Whether the median ratio is what must be reached; None where nothing was promised."""
        if not self.target:
            return None
        relation, _, bound = self.target.partition(" ")
        median = statistics.median(self.ratios)
        return median >= float(bound) if relation == ">=" else median <= float(bound)


@dataclass
class Workbench:
    """What each comparison works with."""

    path: Path
    """The model's file."""
    threads: int
    runs: int
    tell: Callable[[str], None]
    """Says what goes on."""
    seed: int = 0

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self._words = [word for item in sample_items() for word in f"{item.title} {item.description}".split()]

    @contextlib.contextmanager
    def model(self, **options: Any) -> Iterator[LlamaCppModel]:
        """Our engine on the model's file."""
        chosen: dict[str, Any] = {"context_length": 2048, "threads": self.threads, **options}
        model = LlamaCppModel(self.path, name="embedded", **chosen)
        try:
            yield model
        finally:
            model.close()

    def text(self, tokens: int, tokenize: Callable[[str], Sequence[int]], beginning: str = "") -> str:
        """Words of the sample catalogue at random, so many tokens long."""
        while True:
            text = beginning
            while len(tokenize(text)) < tokens:
                text += f" {self.random.choice(self._words)}"
            if len(tokenize(text)) == tokens:
                return text


def seconds_of(work: Callable[[], object]) -> float:
    """How long it takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
