"""Items compared two by two, each pair in both orders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from typing import ClassVar, Literal

from llmrec.errors import InputError
from llmrec.ranking.asking import AskingRun, Values, order_by
from llmrec.ranking.asking_ranker import AskingRanker
from llmrec.ranking.base import Cost, RankingRequest, scores_of_order
from llmrec.ranking.choices import choice_cost, choose_best, label_logprobs
from llmrec.ranking.context import PersonContext

Comparisons = Literal["sorting", "sliding", "all"]


@dataclass(frozen=True)
class Pairwise(AskingRanker):
    """Asks which of two items the person would choose, in both orders: pairwise ranking prompting.

    Where the orders disagree, or a question fails, it is a tie. The ways of Qin et al. 2023, "Large Language
    Models are Effective Text Rankers with Pairwise Ranking Prompting":
    `all` compares every pair, n (n - 1) questions, and counts 1 for a win and 1/2 for a tie;
    `sorting` sorts by merging, at most 2 (n log2 n - n + 1) questions, rounded up; ties stay as they were;
    `sliding` lets the better of two neighbours rise from the end to the front, once for each place of `top`,
    2 (n - 1) questions the first time.
    A comparison the budget does not pay for stays as in the earlier order. Signals hold the points of `all`,
    and else say the order alone. The model is as sure as the share of comparisons that were no tie.
    """

    comparisons: Comparisons = "sorting"
    top: int = 10
    """How many of the first places `sliding` settles."""

    name: ClassVar[str] = "pairwise"

    def _check_options(self) -> None:
        if self.comparisons not in ("sorting", "sliding", "all"):
            raise InputError("pairwise takes the comparisons sorting, sliding or all: choose one")
        if self.top < 1:
            raise InputError("pairwise takes a top of at least 1")

    def _most_questions(self, items: int) -> int:
        if self.comparisons == "all":
            return items * (items - 1)
        if self.comparisons == "sorting":
            return 2 * most_comparisons(items)
        return 2 * sum(items - 1 - settled for settled in range(min(self.top, max(items - 1, 0))))

    def _question_cost(self, shown: PersonContext, request: RankingRequest) -> Cost:
        language = request.profile.language
        return choice_cost(
            self.model, self.library, language, shown, request.items, count=2, scored=self.scored
        )

    def _rank(self, run: AskingRun) -> tuple[Values, dict[str, Values]]:
        duels = _Duels(run, self.scored)
        points: Values | None = None
        if self.comparisons == "all":
            counted = dict.fromkeys(run.first, 0.0)
            for earlier, later in combinations(run.first, 2):
                won = duels.points(earlier, later)
                counted[earlier] += won
                counted[later] += 1 - won
            order = order_by(counted, run.first_rank)
            points = tuple(counted[at] for at in range(len(order)))
        elif self.comparisons == "sorting":
            order = merge_sorted(run.first, duels.prefers)
        else:
            order = list(run.first)
            for settled in range(min(self.top, len(order) - 1)):
                for at in range(len(order) - 1, settled, -1):
                    if duels.prefers(order[at], order[at - 1]):
                        order[at - 1], order[at] = order[at], order[at - 1]
        run.sureness = duels.decided
        if duels.disagreements:
            run.notes.append(
                f"in {duels.disagreements} of {len(duels.known)} comparisons the model chose by the place of "
                "the items, which counts as a tie"
            )
        scores = scores_of_order(order)
        return scores, {self.name: points or scores}


@dataclass
class _Duels:
    """What comparisons of a run came out as; each pair is asked about once."""

    run: AskingRun
    scored: bool
    disagreements: int = 0
    known: dict[tuple[int, int], float] = field(default_factory=dict)
    """The points of the first item, by items of which the first has the lower place."""

    @property
    def decided(self) -> float | None:
        """The share of the comparisons that were no tie; None without any."""
        return sum(won != 0.5 for won in self.known.values()) / len(self.known) if self.known else None

    def points(self, one: int, other: int) -> float:
        """1 when the one is preferred, 0 when the other, 1/2 for a tie; unasked, as in the earlier order."""
        first, second = sorted((one, other))
        if (first, second) not in self.known:
            found = self._ask(first, second)
            if found is None:
                return float(self.run.first_rank[one] < self.run.first_rank[other])
            self.known[first, second] = found
        won = self.known[first, second]
        return won if one == first else 1 - won

    def prefers(self, one: int, other: int) -> bool:
        """Whether the one is better than the other, and not just as good or unknown."""
        return self.points(one, other) > 0.5

    def _ask(self, one: int, other: int) -> float | None:
        said: list[int] = []
        for pair in ((one, other), (other, one)):
            what = f"comparison of {self.run.names(pair)}"
            preference = self.run.attempt(what, partial(self._preference, pair), stand_in="a tie")
            if preference is None:
                return None if self.run.stopped else 0.5
            said.append(preference if pair[0] == one else -preference)
        self.disagreements += int(said[0] * said[1] < 0)
        return {2: 1.0, -2: 0.0}.get(sum(said), 0.5)

    def _preference(self, pair: tuple[int, int]) -> int:
        """1 when the first of those shown is preferred, -1 when the second, 0 for exactly equal ones."""
        if not self.scored:
            return 1 if choose_best(self.run, pair, scored=False) == pair[0] else -1
        first, second = label_logprobs(self.run, pair)
        return (first > second) - (first < second)


def most_comparisons(items: int) -> int:
    """How many comparisons `merge_sorted` makes at most: n ceil(log2 n) - 2 ** ceil(log2 n) + 1."""
    levels = max(items - 1, 0).bit_length()
    return items * levels - (1 << levels) + 1


def merge_sorted(places: Sequence[int], prefers: Callable[[int, int], bool]) -> list[int]:
    """Sort by merging, the best first. `prefers(later, earlier)` is asked; where it is not, order stays."""
    if len(places) < 2:
        return list(places)
    middle = (len(places) + 1) // 2
    left, right = merge_sorted(places[:middle], prefers), merge_sorted(places[middle:], prefers)
    merged: list[int] = []
    while left and right:
        merged.append(right.pop(0) if prefers(right[0], left[0]) else left.pop(0))
    return merged + left + right
