"""Whole lists put in order by a written answer, in windows that slide from the end to the front."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from llmrec.errors import InputError
from llmrec.ranking.asking import Answers, AskingRun, Values, order_by
from llmrec.ranking.asking_ranker import AskingRanker
from llmrec.ranking.base import Cost, RankingRequest, scores_of_order
from llmrec.ranking.choices import MOST_ORDERED, choice_cost, choose_in_order
from llmrec.ranking.context import PersonContext


@dataclass(frozen=True)
class Listwise(AskingRanker):
    """Asks for the order of a window of items, and slides the window from the end of the list to its front.

    Windows as in RankGPT (Sun et al. 2023, "Is ChatGPT Good at Search?"). A window's items are shown in an
    order drawn from the request's seed. Each round begins anew with other draws, and an item's value is the
    mean over the rounds of 1 for the first place down to 1/n for the last: permutation self-consistency
    (Tang et al. 2024, "Found in the Middle") with the mean place for the central ranking.
    """

    window: int = 20
    """Items in one question, 2 to 50."""
    step: int = 10
    """How far the window slides, 1 to less than a window; a pass carries that many fewer than a window on."""
    rounds: int = 1
    """How many rankings are averaged."""
    top: int | None = 10
    """How many of the first places to settle, by as many passes as that takes; None for all."""

    name: ClassVar[str] = "listwise"
    ways: ClassVar[tuple[Answers, ...]] = ("generated",)

    def _check_options(self) -> None:
        check_window(self.name, self.window, self.step, self.top, most=MOST_ORDERED)
        if self.rounds < 1:
            raise InputError("listwise takes at least one of rounds")

    def _most_questions(self, items: int) -> int:
        return self.rounds * len(windows(items, self.window, self.step, self.top))

    def _question_cost(self, shown: PersonContext, request: RankingRequest) -> Cost:
        count = min(self.window, len(request.items))
        language = request.profile.language
        return choice_cost(
            self.model, self.library, language, shown, request.items, count=count, wanted=count, scored=False
        )

    def _rank(self, run: AskingRun) -> tuple[Values, dict[str, Values]]:
        rounds: list[Values] = []
        for number in range(self.rounds):
            answered = run.answered
            order = slide(run, self.window, self.step, self.top, partial(self._ordered, run, number))
            if run.answered > answered or not rounds:
                rounds.append(scores_of_order(order))
        means = np.mean(np.array(rounds), axis=0)
        values = tuple(float(mean) for mean in means)
        return scores_of_order(order_by(dict(enumerate(values)), run.first_rank)), {self.name: values}

    def _ordered(self, run: AskingRun, number: int, part: Sequence[int], at: int) -> list[int] | None:
        what = f"order of {run.names(part)}"
        shown = run.shuffled(part, number, at)
        return run.attempt(
            what, lambda: choose_in_order(run, shown, wanted=len(shown), scored=False, what=what)
        )


def check_window(strategy: str, window: int, step: int, top: int | None, *, most: int) -> None:
    """Raise InputError for windows that cannot slide."""
    if not 2 <= window <= most:
        raise InputError(f"{strategy} takes a window of 2 to {most} items")
    if not 1 <= step < window:
        raise InputError(f"{strategy} takes a step of at least 1 and less than the window of {window}")
    if top is not None and top < 1:
        raise InputError(f"{strategy} takes a top of at least 1, or None for all")


def windows(items: int, window: int, step: int, top: int | None) -> list[tuple[int, int]]:
    """The windows in their order, each as its first place and the one after its last.

    One pass brings the best window - step of what is not settled yet to the front of it, where a model's
    orders agree with each other; the next pass begins behind them.
    """
    if items < 2:
        return []
    found: list[tuple[int, int]] = []
    settled = 0
    while settled < min(items if top is None else top, items - 1):
        begin = max(settled, items - window)
        found.append((begin, items))
        while begin > settled:
            begin = max(settled, begin - step)
            found.append((begin, begin + window))
        # What fits one window is settled by it altogether.
        settled = items if items - settled <= window else settled + window - step
    return found


def slide(
    run: AskingRun,
    window: int,
    step: int,
    top: int | None,
    ordered: Callable[[Sequence[int], int], Sequence[int] | None],
) -> list[int]:
    """Put the places of a run in order, window by window from the earlier order on.

    `ordered` is given a window's places and its number and returns them in order, or None to leave them.
    """
    order = list(run.first)
    for number, (begin, end) in enumerate(windows(len(order), window, step, top)):
        order[begin:end] = ordered(order[begin:end], number) or order[begin:end]
    return order
