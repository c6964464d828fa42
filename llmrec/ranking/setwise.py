"""The best of a few items at a time, and a heap sort that needs no more than that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from llmrec.errors import InputError
from llmrec.ranking.asking import AskingRun, Values
from llmrec.ranking.asking_ranker import AskingRanker
from llmrec.ranking.base import Cost, RankingRequest, scores_of_order
from llmrec.ranking.choices import MOST_LABELLED, choice_cost, choose_best
from llmrec.ranking.context import PersonContext


@dataclass(frozen=True)
class Setwise(AskingRanker):
    """Asks for the best of a few items, and takes the best of all from a heap, one after the other.

    Zhuang et al. 2024, "A Setwise Approach for Effective and Highly Efficient Zero-shot Ranking with Large
    Language Models". A set is shown in an order drawn from the request's seed. Behind the top the earlier
    order stays. Where a question fails or is not paid for, the one of the set that stood first is taken.
    """

    size: int = 4
    """Items in one set, 2 to 26."""
    top: int | None = 10
    """How many of the first places to settle; None for all."""

    name: ClassVar[str] = "setwise"

    def _check_options(self) -> None:
        if not 2 <= self.size <= MOST_LABELLED:
            raise InputError(f"setwise takes a size of 2 to {MOST_LABELLED} items")
        if self.top is not None and self.top < 1:
            raise InputError("setwise takes a top of at least 1, or None for all")

    def _most_questions(self, items: int) -> int:
        return most_choices(items, self.size, items if self.top is None else self.top)

    def _question_cost(self, shown: PersonContext, request: RankingRequest) -> Cost:
        count = min(self.size, len(request.items))
        language = request.profile.language
        return choice_cost(
            self.model, self.library, language, shown, request.items, count=count, scored=self.scored
        )

    def _rank(self, run: AskingRun) -> tuple[Values, dict[str, Values]]:
        def best(places: Sequence[int]) -> int:
            shown = run.shuffled(places, *sorted(run.first_rank[at] for at in places))
            question = partial(choose_best, run, shown, scored=self.scored)
            chosen = run.attempt(f"best of {run.names(places)}", question)
            return next(at for at in run.first if at in places) if chosen is None else chosen

        top = len(run.first) if self.top is None else self.top
        settled = heap_top(run.first, self.size - 1, top, best)
        taken = set(settled)
        order = settled + [at for at in run.first if at not in taken]
        scores = scores_of_order(order)
        return scores, {self.name: scores}


def heap_top(
    places: Sequence[int], children: int, top: int, best: Callable[[Sequence[int]], int]
) -> list[int]:
    """The best places in order, from a heap of so many children a node; `best` chooses among two or more."""
    heap = list(places)

    def sift_down(node: int) -> None:
        while (below := heap[node * children + 1 : node * children + 1 + children]) != []:
            chosen = best([heap[node], *below])
            if chosen == heap[node]:
                return
            child = node * children + 1 + below.index(chosen)
            heap[node], heap[child] = heap[child], heap[node]
            node = child

    for node in range(_last_parent(len(heap), children), -1, -1):
        sift_down(node)
    found: list[int] = []
    while heap and len(found) < top:
        found.append(heap[0])
        last = heap.pop()
        if heap:
            heap[0] = last
            if len(found) < top:
                sift_down(0)
    return found


def most_choices(items: int, size: int, top: int) -> int:
    """How many questions `heap_top` asks at most, with sets of `size`: a parent and its children."""
    children = size - 1
    building = sum(_height(node, items, children) for node in range(_last_parent(items, children), -1, -1))
    return building + sum(_height(0, items - taken, children) for taken in range(1, min(top, items)))


def _last_parent(items: int, children: int) -> int:
    return (items - 2) // children if items > 1 else -1


def _height(node: int, items: int, children: int) -> int:
    """How many levels of a heap of so many items lie below a node."""
    levels = 0
    while (node := node * children + 1) < items:
        levels += 1
    return levels
