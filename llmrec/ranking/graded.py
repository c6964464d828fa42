"""Relevance as a grade from 0 to 4: expected over the model's own doubt, or as it writes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from llmrec.behavior.events import Item
from llmrec.llm.base import Message, Score
from llmrec.ranking.asking import AskingRun, Values, generated_cost, longest_items, person_variables
from llmrec.ranking.asking_ranker import AskingRanker
from llmrec.ranking.base import Cost, RankingRequest
from llmrec.ranking.context import PersonContext, item_line, shortening_notes
from llmrec.ranking.pointwise import item_question_cost, values_kept_in_place, values_of_answers
from llmrec.ranking.relevance import CHUNK, TOKENS_PER_GRADE, Grades, relevance_grades

TEMPLATE = "ranking/graded"
HIGHEST_GRADE = 4
HIGHEST_WRITTEN_GRADE = 10


@dataclass(frozen=True)
class Graded(AskingRanker):
    """Asks how well each item suits the person, on a scale from 0 to 4.

    With log-probabilities, one question an item; the score is the expected grade, the sum over g of
    g P(g) / (P(0) + ... + P(4)): the rating scale of Zhuang et al. 2024, "Beyond Yes and No". Without them,
    written grades from 0 to 10 for 20 items at a time, as in `relevance_grades`, brought to the same scale.
    """

    name: ClassVar[str] = "graded"

    def _most_questions(self, items: int) -> int:
        return items if self.scored else -(-items // CHUNK)

    def _question_cost(self, shown: PersonContext, request: RankingRequest) -> Cost:
        language = request.profile.language
        if self.scored:
            return item_question_cost(
                self.model, self.library, TEMPLATE, language, shown, request.items, grades_in
            )
        items = longest_items(request.items, CHUNK)
        candidates = [item_line(item) for item in items]
        prompts = [
            self.library.render("ranking/relevance_system", language),
            self.library.render(
                "ranking/relevance", language, **person_variables(shown), candidates=candidates
            ),
        ]
        messages = [Message(role="user", content=prompt.text) for prompt in prompts]
        most = 100 + TOKENS_PER_GRADE * len(items)
        return generated_cost(self.model, self.library, messages, Grades, language, most)

    def _rank(self, run: AskingRun) -> tuple[Values, dict[str, Values]]:
        if self.scored:
            found = values_of_answers(run, TEMPLATE, grades_in, expected_grade)
        else:
            found = _written_grades(run)
        values = values_kept_in_place(found, run.first)
        return values, {self.name: values}


def grades_in(language: str) -> list[str]:
    """The grades from 0 to 4 as continuations of the prompt, in a template's language."""
    return [f"{'' if language == 'zh' else ' '}{grade}" for grade in range(HIGHEST_GRADE + 1)]


def expected_grade(scores: Sequence[Score]) -> float:
    """The grade expected from the scores of the grades, in their order from 0 on."""
    logprobs = np.array([score.logprob for score in scores])
    odds = np.exp(logprobs - logprobs.max())
    return float(odds @ np.arange(len(odds)) / odds.sum())


def _written_grades(run: AskingRun) -> list[float | None]:
    """The grades the model writes, in lists of 20 in the earlier order, brought to 0 to 4."""
    while True:
        values: list[float | None] = [None] * len(run.first)
        shown = run.shown
        for begin in range(0, len(run.first), CHUNK):
            # What stands beside an item in its list must not depend on the order of the request.
            part = run.shuffled(run.first[begin : begin + CHUNK], begin)
            items = [run.item(at) for at in part]
            grades = run.attempt(f"grades of {run.names(part)}", partial(_written, run, items))
            if run.shown is not shown:
                break
            for at, grade in zip(part, grades or [], strict=False):
                values[at] = grade * HIGHEST_GRADE / HIGHEST_WRITTEN_GRADE
        else:
            return values


def _written(run: AskingRun, items: Sequence[Item]) -> list[float]:
    """The grades of one list; leaves in `run.shown` what they were given by."""
    # A list that had to be halved is several questions, each of which may be asked a second time.
    grades, prompts, notes = relevance_grades(
        run.model, run.library, run.language, run.shown, items, lambda *_: run.model.begin_question()
    )
    run.prompts.update(prompts)
    person = run.shown
    while notes and shortening_notes(person, run.shown) != notes:
        run.shown = run.shown.shortened() or run.shown
    return grades
