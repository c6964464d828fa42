"""Relevance as the odds of Yes: one question an item, one token looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from llmrec.llm.base import Score
from llmrec.ranking.asking import Answers, AskingRun, Values
from llmrec.ranking.asking_ranker import AskingRanker
from llmrec.ranking.base import Cost, RankingRequest
from llmrec.ranking.context import PersonContext
from llmrec.ranking.pointwise import item_question_cost, values_kept_in_place, values_of_answers

TEMPLATE = "ranking/yes_no"


@dataclass(frozen=True)
class YesNo(AskingRanker):
    """Asks of each item whether the person would choose it.

    The score is log P(Yes) - log P(No), in nats (Liang et al. 2022, "Holistic Evaluation of Language Models",
    and Sachan et al. 2022 rank by such a likelihood). Items do not see each other.
    """

    name: ClassVar[str] = "yes_no"
    ways: ClassVar[tuple[Answers, ...]] = ("scored",)

    def _most_questions(self, items: int) -> int:
        return items

    def _question_cost(self, shown: PersonContext, request: RankingRequest) -> Cost:
        language = request.profile.language
        return item_question_cost(
            self.model, self.library, TEMPLATE, language, shown, request.items, yes_and_no
        )

    def _rank(self, run: AskingRun) -> tuple[Values, dict[str, Values]]:
        values = values_kept_in_place(values_of_answers(run, TEMPLATE, yes_and_no, _log_odds), run.first)
        return values, {self.name: values}


def yes_and_no(language: str) -> tuple[str, str]:
    """The answers as continuations of the prompt, in a template's language."""
    return ("是", "否") if language == "zh" else (" Yes", " No")


def _log_odds(scores: Sequence[Score]) -> float:
    yes, no = scores
    return yes.logprob - no.logprob
