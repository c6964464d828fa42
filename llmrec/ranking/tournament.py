"""Items in groups, of which the best go on to the next stage: points for every stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from llmrec.errors import InputError
from llmrec.ranking.asking import AskingRun, Values, order_by
from llmrec.ranking.asking_ranker import AskingRanker
from llmrec.ranking.base import Cost, RankingRequest, scores_of_order
from llmrec.ranking.choices import MOST_LABELLED, choice_cost, choose_in_order
from llmrec.ranking.context import PersonContext


@dataclass(frozen=True)
class Tournament(AskingRanker):
    """Asks for the better half of each group until one item is left; an item gets a point a stage it passes.

    TourRank (Chen et al. 2024, "TourRank: Utilizing Large Language Models for Documents Ranking with a
    Tournament-Inspired Strategy"). Groups are dealt so that each gets its part of those that stand first in
    the earlier order; within a group, items are shown in an order drawn from the request's seed. Several
    tournaments, dealt and drawn differently, are averaged; equal points stay in the earlier order. With
    groups of five and more, a model that never errs puts the best two first; what comes after them is the
    finer, the more rounds there are. A group that fails, or is not paid for, sends on the half that stood
    first in the earlier order, and gives no points. Signals hold the mean points.
    """

    group: int = 10
    """Most items in a group, 2 to 26."""
    rounds: int = 3
    """How many tournaments."""

    name: ClassVar[str] = "tournament"

    def _check_options(self) -> None:
        if not 2 <= self.group <= MOST_LABELLED:
            raise InputError(f"tournament takes a group of 2 to {MOST_LABELLED} items")
        if self.rounds < 1:
            raise InputError("tournament takes at least one of rounds")

    def _most_questions(self, items: int) -> int:
        questions = 0
        while items > 1:
            sizes = group_sizes(items, self.group)
            questions += len(sizes)
            items = sum(map(going_on, sizes))
        return self.rounds * questions

    def _question_cost(self, shown: PersonContext, request: RankingRequest) -> Cost:
        count = min(self.group, len(request.items))
        return choice_cost(
            self.model,
            self.library,
            request.profile.language,
            shown,
            request.items,
            count=count,
            wanted=going_on(count),
            scored=self.scored,
        )

    def _rank(self, run: AskingRun) -> tuple[Values, dict[str, Values]]:
        points = dict.fromkeys(run.first, 0.0)
        for number in range(self.rounds):
            left, stage = list(run.first), 0
            while len(left) > 1:
                winners: list[int] = []
                for at, members in enumerate(self._groups(run, left, number, stage)):
                    winners += self._winners(run, members, points, (number, stage, at))
                left = sorted(winners, key=run.first_rank.__getitem__)
                stage += 1
        means = tuple(points[at] / self.rounds for at in range(len(points)))
        order = order_by(dict(enumerate(means)), run.first_rank)
        return scores_of_order(order), {self.name: means}

    def _groups(self, run: AskingRun, left: Sequence[int], number: int, stage: int) -> list[list[int]]:
        """Deal those left: of every few neighbours in the earlier order, each group gets one by lot."""
        groups: list[list[int]] = [[] for _ in group_sizes(len(left), self.group)]
        for begin in range(0, len(left), len(groups)):
            drawn = run.shuffled(left[begin : begin + len(groups)], number, stage, begin)
            for members, at in zip(groups, drawn, strict=False):
                members.append(at)
        return groups

    def _winners(
        self, run: AskingRun, members: Sequence[int], points: dict[int, float], draw: tuple[int, int, int]
    ) -> list[int]:
        wanted = going_on(len(members))
        if wanted == len(members):
            return list(members)
        what = f"best {wanted} of {run.names(members)}"
        shown = run.shuffled(members, *draw)
        question = partial(choose_in_order, run, shown, wanted=wanted, scored=self.scored, what=what)
        winners = run.attempt(what, question)
        if winners is None:
            return sorted(members, key=lambda at: run.first_rank[at])[:wanted]
        for at in winners:
            points[at] += 1
        return winners


def going_on(members: int) -> int:
    """How many of a group go on: half of it, rounded up."""
    return (members + 1) // 2


def group_sizes(items: int, most: int) -> list[int]:
    """Part items into as few groups of at most so many as it takes, as equal as they can be."""
    groups = -(-items // most)
    return [len(range(at, items, groups)) for at in range(groups)]
