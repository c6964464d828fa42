"""Whole lists put in order by one look at the first letter of the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from llmrec.errors import InputError
from llmrec.ranking.asking import Answers, AskingRun, Values
from llmrec.ranking.asking_ranker import AskingRanker
from llmrec.ranking.base import Cost, RankingRequest, scores_of_order
from llmrec.ranking.choices import MOST_LABELLED, choice_cost, label_logprobs
from llmrec.ranking.context import PersonContext
from llmrec.ranking.listwise import check_window, slide, windows


@dataclass(frozen=True)
class FirstIndex(AskingRanker):
    """Asks for the best of a list, and ranks by how likely the answer's first letter names each item.

    One forward pass a list, as FIRST (Gangi Reddy et al. 2024, "Faster Improved Listwise Reranking with
    Single Token Decoding"). A list is shown in several orders: one drawn from the request's seed, then the
    same turned round, so that an item stands in places that lie evenly apart; with as many orders as items
    it stands in each once, and a model's taste for a place is gone. An item's value is the mean over the
    orders of its log-probability among the letters, in nats. More items than a window are put in order by
    windows that slide as those of `Listwise`, and values say the order alone.
    """

    window: int = 20
    """Items in one question, 2 to 26."""
    step: int = 10
    """How far the window slides, 1 to less than a window."""
    orders: int = 4
    """In how many orders each list is shown; more than it has items are not needed."""
    top: int | None = 10
    """How many of the first places to settle where there are several windows; None for all."""

    name: ClassVar[str] = "first_index"
    ways: ClassVar[tuple[Answers, ...]] = ("scored",)

    def _check_options(self) -> None:
        check_window(self.name, self.window, self.step, self.top, most=MOST_LABELLED)
        if self.orders < 1:
            raise InputError("first_index takes at least one of orders")

    def _most_questions(self, items: int) -> int:
        parts = windows(items, self.window, self.step, self.top)
        return sum(min(self.orders, end - begin) for begin, end in parts)

    def _question_cost(self, shown: PersonContext, request: RankingRequest) -> Cost:
        count = min(self.window, len(request.items))
        language = request.profile.language
        return choice_cost(self.model, self.library, language, shown, request.items, count=count, scored=True)

    def _rank(self, run: AskingRun) -> tuple[Values, dict[str, Values]]:
        values: dict[int, float] = {}

        def ordered(part: Sequence[int], number: int) -> list[int] | None:
            found = self._mean_logprobs(run, part, number)
            if found is None:
                return None
            values.update(found)
            return sorted(part, key=lambda at: -found[at])

        order = slide(run, self.window, self.step, self.top, ordered)
        if len(order) <= self.window and values:
            scores = tuple(values[at] for at in range(len(order)))
        else:
            scores = scores_of_order(order)
        return scores, {self.name: scores}

    def _mean_logprobs(self, run: AskingRun, part: Sequence[int], number: int) -> dict[int, float] | None:
        """The mean over the orders that were answered of the items' log-probabilities; None without any."""
        drawn = run.shuffled(part, number)
        orders = min(self.orders, len(drawn))
        found: list[dict[int, float]] = []
        for turn in range(orders):
            by = turn * len(drawn) // orders
            shown = drawn[by:] + drawn[:by]
            logprobs = run.attempt(
                f"order {turn + 1} of {run.names(part)}",
                partial(label_logprobs, run, shown),
                stand_in="the other orders, or the earlier order without any",
            )
            if logprobs is not None:
                normalised = np.array(logprobs) - np.logaddexp.reduce(logprobs)
                found.append(dict(zip(shown, map(float, normalised), strict=True)))
        if not found:
            return None
        return {at: float(np.mean([one[at] for one in found])) for at in part}
