"""Relevance as a grade the model gives: for models that tell no log-probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pydantic import BaseModel, Field

from llmrec.behavior.events import Item
from llmrec.errors import AnswerError, ContextLengthError
from llmrec.interests.extraction import StageProgress
from llmrec.llm.base import LanguageModel, Message
from llmrec.llm.cache import naming_prompt
from llmrec.prompting.structured import ask, outgrew_context
from llmrec.prompting.templates import PromptLibrary
from llmrec.ranking.context import PersonContext, item_line, shortening_notes

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

    A list that does not fit the model's context is halved, as often as it takes. Where not even one item
    fits, the older half of the history is left out, as in `likelihood_ratios`, a note says so, and all items
    are graded anew: grades by different histories do not compare. Returns the grades in the order of the
    items, the fingerprints of the templates, and the notes.
    Raises ContextLengthError when nothing more can go, AnswerError when the model keeps leaving items out or
    naming ones that are not there.
    """
    used: dict[str, str] = {}
    shown = person
    while True:
        try:
            values = _grade_all(model, library, language, shown, items, progress, used)
            break
        except (ContextLengthError, AnswerError) as error:
            shorter = shown.shortened() if outgrew_context(error) else None
            if shorter is None:
                raise
            shown = shorter
    return values, used, shortening_notes(person, shown)


def _grade_all(
    model: LanguageModel,
    library: PromptLibrary,
    language: str,
    person: PersonContext,
    items: Sequence[Item],
    progress: StageProgress,
    used: dict[str, str],
) -> list[float]:
    """Grade every item, in lists that fit; raises what `outgrew_context` knows when a single one does not."""
    values: list[float] = []
    waiting = [items[begin : begin + CHUNK] for begin in range(0, len(items), CHUNK)]
    waiting.reverse()
    while waiting:
        part = waiting.pop()
        try:
            values += _grade(model, library, language, person, part, used)
        except (ContextLengthError, AnswerError) as error:
            if len(part) == 1 or not outgrew_context(error):
                raise
            middle = len(part) // 2
            waiting += [part[middle:], part[:middle]]
            continue
        progress(len(values), len(items))
    return values


def _grade(
    model: LanguageModel,
    library: PromptLibrary,
    language: str,
    person: PersonContext,
    part: Sequence[Item],
    used: dict[str, str],
) -> list[float]:
    """Grade one list of items, and add the fingerprints of the templates to `used`."""
    system = library.render("ranking/relevance_system", language)
    prompt = library.render(
        "ranking/relevance",
        language,
        interests=person.interests,
        words=person.words,
        items=person.items,
        candidates=[item_line(item) for item in part],
    )
    used.update(
        {f"{rendered.name}.{rendered.language}": rendered.fingerprint for rendered in (system, prompt)}
    )
    with naming_prompt(prompt.fingerprint):
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
    return [by_number[number] for number in range(1, len(part) + 1)]


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
