"""How continuations are laid out for llama.cpp: shared beginnings once, in as few batches as fit."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from llmrec.llm.prefix_states import shared_length


@dataclass(frozen=True)
class TokenPath:
    """A text that goes on from what the model holds."""

    tokens: tuple[int, ...]
    lead: int = 0
    """How many of the tokens, from the first, only lead to those that are scored."""

    @property
    def rows(self) -> int:
        """How many of the tokens have to be evaluated: the last one is only looked up."""
        return max(len(self.tokens) - 1, 0)


@dataclass(frozen=True)
class BatchLimits:
    """What one group may hold; a single path that is longer has a group of its own."""

    rows: int
    logits: int
    branches: int


@dataclass
class PathGroup:
    """Rows that are evaluated together, parents before children, and what is read off them."""

    tokens: list[int] = field(default_factory=list)
    depths: list[int] = field(default_factory=list)
    """The place of each row's token in its path, from 0."""
    branches: list[list[int]] = field(default_factory=list)
    """The branches a row belongs to, from 1: one for each path of the group, in order."""
    wanted: list[bool] = field(default_factory=list)
    """Whether the logits of a row are read."""
    paths: list[int] = field(default_factory=list)
    """The places of the group's paths in the sequence that was planned for."""
    reads: list[tuple[int, int, int]] = field(default_factory=list)
    """(row, token, path): after this row, the log-probability of this token counts for this path."""
    _trail: list[int] = field(default_factory=list)
    _last: tuple[int, ...] = ()

    def new_rows(self, path: TokenPath, *, shares_rows: bool) -> int:
        """How many rows a path would add."""
        return path.rows - self._shared(path, shares_rows=shares_rows)

    def new_logits(self, path: TokenPath, *, shares_rows: bool) -> int:
        """How many more rows could be read with a path: its new rows, and what only led to others so far."""
        trail = self._trail[max(path.lead - 1, 0) : self._shared(path, shares_rows=shares_rows)]
        return self.new_rows(path, shares_rows=shares_rows) + sum(not self.wanted[row] for row in trail)

    def add(self, place: int, path: TokenPath, *, shares_rows: bool) -> None:
        """Add a path, the neighbour of the last one in the order of tokens."""
        shared = self._shared(path, shares_rows=shares_rows)
        self.paths.append(place)
        branch = len(self.paths)
        del self._trail[shared:]
        for row in self._trail:
            self.branches[row].append(branch)
        for depth in range(shared, path.rows):
            self._trail.append(len(self.tokens))
            self.tokens.append(path.tokens[depth])
            self.depths.append(depth)
            self.branches.append([branch])
            self.wanted.append(False)
        for depth in range(max(path.lead, 1), len(path.tokens)):
            row = self._trail[depth - 1]
            self.wanted[row] = True
            self.reads.append((row, path.tokens[depth], place))
        self._last = path.tokens

    def _shared(self, path: TokenPath, *, shares_rows: bool) -> int:
        return min(shared_length(self._last, path.tokens), len(self._trail), path.rows) if shares_rows else 0


def plan_groups(paths: Sequence[TokenPath], limits: BatchLimits, *, shares_rows: bool) -> Iterator[PathGroup]:
    """Pack distinct paths into groups, in the order of their tokens, so that neighbours share beginnings.

    Paths with one lead stay together where they fit, since a lead is evaluated once for each group. Without
    `shares_rows` each path has rows of its own. A path of one token needs no row and is in no group.
    """
    places = [place for place, path in enumerate(paths) if path.rows]
    # Models that cannot share split a batch by equal lengths.
    places.sort(
        key=lambda place: (
            0 if shares_rows else len(paths[place].tokens),
            paths[place].tokens,
            paths[place].lead,
        )
    )
    group = PathGroup()
    for _, bundle in itertools.groupby(places, key=lambda place: _lead_of(paths[place])):
        members = list(bundle)
        rows = _rows_of([paths[place] for place in members], shares_rows=shares_rows)
        if len(group.tokens) + rows > limits.logits >= rows and group.paths:
            yield group
            group = PathGroup()
        for place in members:
            path = paths[place]
            if group.paths and (
                len(group.paths) == limits.branches
                or len(group.tokens) + group.new_rows(path, shares_rows=shares_rows) > limits.rows
                or sum(group.wanted) + group.new_logits(path, shares_rows=shares_rows) > limits.logits
            ):
                yield group
                group = PathGroup()
            group.add(place, path, shares_rows=shares_rows)
    if group.paths:
        yield group


def rows_of_texts(texts: Sequence[Sequence[int]], *, shares_rows: bool) -> int:
    """How many rows these continuations of one prefix need."""
    return _rows_of([TokenPath(text) for text in sorted(map(tuple, texts))], shares_rows=shares_rows)


def _rows_of(neighbours: Sequence[TokenPath], *, shares_rows: bool) -> int:
    group = PathGroup()
    for place, path in enumerate(neighbours):
        if path.rows:
            group.add(place, path, shares_rows=shares_rows)
    return len(group.tokens)


def _lead_of(path: TokenPath) -> tuple[int, ...]:
    return path.tokens[: path.lead]


def log_normalizers(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The logarithm of the sum of exponentials of each row, [rows]; not finite where a logit is no number.

    One row at a time in one scratch row, which stays in the CPU's cache.
    """
    result = np.empty(len(logits), np.float32)
    scratch = np.empty(logits.shape[1], np.float32)
    # What is infinite is told by the result, not by a warning.
    with np.errstate(invalid="ignore"):
        for at, row in enumerate(logits):
            highest = row.max()
            np.subtract(row, highest, out=scratch)
            np.exp(scratch, out=scratch)
            result[at] = highest + np.log(scratch.sum())
    return result
