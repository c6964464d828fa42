"""Relevance as a grade the model gives: for models that tell no log-probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pydantic import BaseModel, Field

from llmrec.behavior.events import Item
from llmrec.interests.extraction import StageProgress
from llmrec.llm.base import LanguageModel, Message
from llmrec.prompting.structured import ask
from llmrec.prompting.templates import PromptLibrary
from llmrec.ranking.context import PersonContext, item_line

CHUNK = 20
TOKENS_PER_GRADE = 24


class Grade(BaseModel):
    """The grade of one item."""

    item: int
    """The item's number in the list."""
    grade: int = Field(ge=0, le=10)


class Grades(BaseModel):
    """One grade for every item of a list."""

    grades: list[Grade] = Field(min_length=1, max_length=CHUNK)


def relevance_grades(
    model: LanguageModel,
    library: PromptLibrary,
    language: str,
    person: PersonContext,
    items: Sequence[Item],
    progress: StageProgress,
) -> tuple[list[float], dict[str, str], list[str]]:
    """Have the model grade each item from 0 to 10, in lists of 20.

    Returns the grades in the order of the items, the fingerprints of the templates, and notes (none).
    Raises AnswerError when the model keeps leaving items out or naming ones that are not there.
    """
    system = library.render("ranking/relevance_system", language)
    used = {f"{system.name}.{system.language}": system.fingerprint}
    values: list[float] = []
    for begin in range(0, len(items), CHUNK):
        part = items[begin : begin + CHUNK]
        prompt = library.render(
            "ranking/relevance",
            language,
            interests=person.interests,
            words=person.words,
            items=person.items,
            candidates=[item_line(item) for item in part],
        )
        used[f"{prompt.name}.{prompt.language}"] = prompt.fingerprint
        answer = ask(
            model,
            [Message(role="system", content=system.text), Message(role="user", content=prompt.text)],
            Grades,
            library=library,
            language=language,
            max_tokens=100 + TOKENS_PER_GRADE * len(part),
            check=partial(_faults, size=len(part)),
        )
        by_number = {grade.item: float(grade.grade) for grade in answer.value.grades}
        values += [by_number[number] for number in range(1, len(part) + 1)]
        progress(len(values), len(items))
    return values, used, []


def _faults(answer: Grades, size: int) -> list[str]:
    numbers = [grade.item for grade in answer.grades]
    missing = [number for number in range(1, size + 1) if number not in numbers]
    unknown = [number for number in numbers if not 1 <= number <= size]
    twice = sorted({number for number in numbers if numbers.count(number) > 1})
    return [
        *(f"grades: item {number} has no grade" for number in missing[:5]),
        *(f"grades: there is no item {number}, only 1 to {size}" for number in unknown[:5]),
        *(f"grades: item {number} has more than one grade" for number in twice[:5]),
    ]
