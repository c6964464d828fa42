"""A ranking that asks a model question by question: budget, failures, what is shown, what it costs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import numpy as np
from pydantic import BaseModel

from llmrec.behavior.events import Item
from llmrec.errors import ModelError
from llmrec.interests.extraction import StageProgress
from llmrec.llm.base import LanguageModel, Message
from llmrec.prompting.structured import SCHEMA_PROMPT, compact_schema, outgrew_context
from llmrec.prompting.templates import PromptLibrary, RenderedPrompt
from llmrec.ranking.base import Cost, Failure, RankingRequest, first_order
from llmrec.ranking.context import PersonContext
from llmrec.ranking.metering import (
    BudgetSpentError,
    MeteredModel,
    count_message_tokens,
    count_tokens,
    scoring_cost,
)

Answers = Literal["auto", "scored", "generated"]
"""How a model answers: by the log-probabilities of given answers, by writing one, or as it can best."""
Values = tuple[float, ...]
ResultT = TypeVar("ResultT")

EARLIER_ORDER = "the earlier order"
# A server that is gone would else be asked for every question, each with its own retries.
FAILURES_IN_A_ROW = 5
# A second asking shows the faulty answer and what is wrong with it.
CORRECTION_TOKENS = 200


@dataclass
class AskingRun:
    """One ranking under way; belongs to one call of `score`."""

    strategy: str
    request: RankingRequest
    model: MeteredModel
    library: PromptLibrary
    shown: PersonContext
    """What the prompts show of the person; shorter once the model refused a prompt for its length."""
    most_questions: int
    progress: StageProgress
    prompts: dict[str, str] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    asked: int = 0
    answered: int = 0
    stopped: bool = False
    """Whether nothing more may be asked."""
    sureness: float | None = None
    """How sure the model was, where the strategy found out; as in `ItemScores`."""
    _failed_in_a_row: int = 0
    _last_error: ModelError | None = None

    def __post_init__(self) -> None:
        self.first = first_order(self.request)
        """The places of the items in the order of the stage before."""
        self.first_rank = {at: rank for rank, at in enumerate(self.first)}
        ids = [item.id for item in self.request.items]
        self._by_id = sorted(range(len(ids)), key=lambda at: ids[at])

    @property
    def language(self) -> str:
        """The person's language."""
        return self.request.profile.language

    def item(self, at: int) -> Item:
        """The item of a place."""
        return self.request.items[at]

    def names(self, places: Sequence[int]) -> str:
        """The ids of some items, in the order of the ids."""
        return ", ".join(sorted(self.request.items[at].id for at in places))

    def shuffled(self, places: Sequence[int], *numbers: int) -> list[int]:
        """The places in an order drawn by the request's seed and the numbers, in whatever order they come."""
        wanted = set(places)
        same_for_all = [at for at in self._by_id if at in wanted]
        generator = np.random.default_rng([self.request.seed % 2**64, *numbers])
        return [same_for_all[at] for at in generator.permutation(len(same_for_all))]

    def used(self, *prompts: RenderedPrompt) -> None:
        """Note the templates of a question."""
        for prompt in prompts:
            self.prompts[f"{prompt.name}.{prompt.language}"] = prompt.fingerprint

    def attempt(
        self, what: str, question: Callable[[], ResultT], *, stand_in: str = EARLIER_ORDER
    ) -> ResultT | None:
        """Ask a question, or several that fail together; None where there is no answer.

        A prompt that is too long for the model is asked again without the older half of the history. What
        fails is noted with its stand-in; when the budget is spent, or several questions failed one after the
        other, nothing more is asked.
        """
        if self.stopped:
            return None
        before = self.model.questions
        while True:
            self.model.begin_question()
            try:
                result = question()
                break
            except BudgetSpentError as error:
                self.stopped = True
                self.notes.append(f"{self.strategy}: {error}; what was not asked keeps {EARLIER_ORDER}")
                return None
            except ModelError as error:
                shorter = self.shown.shortened() if outgrew_context(error) else None
                if shorter is not None:
                    self.shown = shorter
                    continue
                self._fail(what, error, stand_in)
                return None
            finally:
                self.asked += self.model.questions - before
                before = self.model.questions
                self.progress(min(self.asked, self.most_questions), self.most_questions)
        self.answered += 1
        self._failed_in_a_row = 0
        return result

    def fail(self, what: str, reason: str, stand_in: str = EARLIER_ORDER) -> None:
        """Note what an answer lacked."""
        self.failures.append(Failure(what=what, reason=reason, stand_in=stand_in))

    def _fail(self, what: str, error: ModelError, stand_in: str) -> None:
        self.fail(what, str(error), stand_in)
        self._last_error = error
        self._failed_in_a_row += 1
        if self._failed_in_a_row == FAILURES_IN_A_ROW:
            self.stopped = True
            reason = f"{FAILURES_IN_A_ROW} questions failed one after the other, so no more were asked"
            self.fail(f"the rest of {self.strategy}", reason)

    def raise_for_nothing(self) -> None:
        """Raise the last error when there was one, and no question was answered."""
        if self._last_error is not None and not self.answered:
            raise self._last_error


def second_askings(questions: int) -> int:
    """How many answers that cannot be used may be asked for again, among so many questions."""
    return 1 + math.ceil(questions / 4)


def scored_cost(model: LanguageModel, prompt: RenderedPrompt, answers: Sequence[str]) -> Cost:
    """What it costs to score the answers after a prompt."""
    return scoring_cost(
        model, count_tokens(model, prompt.text), [count_tokens(model, answer) for answer in answers]
    )


def generated_cost(
    model: LanguageModel,
    library: PromptLibrary,
    messages: Sequence[Message],
    answer_type: type[BaseModel],
    language: str,
    max_tokens: int,
) -> Cost:
    """What it costs to ask for an answer with `llmrec.prompting.structured.ask` once."""
    schema = json.dumps(compact_schema(answer_type), ensure_ascii=False, separators=(",", ":"))
    shown = library.render(SCHEMA_PROMPT, language, schema=schema)
    prompt = count_message_tokens(model, messages) + count_tokens(model, f"\n\n{shown.text}")
    return Cost(calls=1, prompt_tokens=prompt, completion_tokens=max_tokens)


def person_variables(person: PersonContext) -> dict[str, Any]:
    """What the templates print of a person."""
    return {"interests": person.interests, "words": person.words, "items": person.items}


def longest_items(items: Sequence[Item], count: int) -> list[Item]:
    """The items whose lines in a prompt are the longest."""

    def length(item: Item) -> int:
        line = item.title[:120] + ", ".join(item.categories)[:80] + item.description[:200]
        return len(line) + 3 * sum(character >= "\u2e80" for character in line)

    return sorted(items, key=length, reverse=True)[:count]


def order_by(points: Mapping[int, float], first_rank: Mapping[int, int]) -> list[int]:
    """The places by points, the most first; equals as in the earlier order."""
    return sorted(points, key=lambda at: (-points[at], first_rank[at]))
