"""A language model that keeps within a budget, and how many tokens a text has."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

from llmrec.errors import AnswerError, ContextLengthError, LlmrecError
from llmrec.llm.base import Capabilities, Completion, LanguageModel, Message, Score, Usage, score_prefixes
from llmrec.llm.cancellation import Cancellation
from llmrec.ranking.base import Budget, Cost

CHARACTERS_PER_TOKEN = 4
FIRST_WIDE_CHARACTER = "\u2e80"
# What a chat template puts around a turn.
TOKENS_AROUND_MESSAGE = 4


class BudgetSpentError(LlmrecError):
    """The next call would pass the budget, so it was not made; a larger budget may go on."""


def innermost(model: LanguageModel) -> LanguageModel:
    """The model that others wrap, through every attribute `wrapped`."""
    inner: LanguageModel = model
    while (wrapped := getattr(inner, "wrapped", None)) is not None:
        inner = wrapped
    return inner


def count_tokens(model: LanguageModel, text: str) -> int:
    """The tokens of a text: counted by the model's method `tokenize`, which local ones have, else estimated.

    The estimate takes four characters for a token, and each character from U+2E80 on (Chinese, Japanese,
    Korean) for one. For plain English and Chinese it lies mostly within a third of the true number.
    """
    tokenize: Callable[[str], Sequence[int]] | None = getattr(innermost(model), "tokenize", None)
    if tokenize is not None:
        return len(tokenize(text))
    wide = sum(character >= FIRST_WIDE_CHARACTER for character in text)
    return wide + math.ceil((len(text) - wide) / CHARACTERS_PER_TOKEN)


def count_message_tokens(model: LanguageModel, messages: Sequence[Message]) -> int:
    """The tokens of a conversation, with four for what stands around each turn."""
    return sum(count_tokens(model, message.content) + TOKENS_AROUND_MESSAGE for message in messages)


def scoring_cost(model: LanguageModel, prefix: int, continuations: Sequence[int]) -> Cost:
    """What it costs to score continuations after a prefix, from how many tokens each of them has.

    A model whose attribute `scores_alone` is true, as that of a server, gets a request for each continuation,
    with the whole prefix, and writes a token to it; any other reads the prefix once, in one call.
    """
    ends = sum(continuations)
    if not getattr(innermost(model), "scores_alone", False):
        return Cost(calls=1, prompt_tokens=prefix + ends)
    calls = len(continuations)
    return Cost(calls=calls, prompt_tokens=calls * prefix + ends, completion_tokens=calls)


class MeteredModel:
    """Hands calls on to a model until the next one would pass the budget; for one ranking in one thread.

    Before a call its prompt counts with `count_tokens`, its answer as long as it may get; after it, what it
    really cost where that is known and more, and what the answer did not need is given back. Scoring counts
    as `scoring_cost` says, for each of several prefixes. Time is looked at before a call, which may end
    later.

    A question may be asked again, for an answer that cannot be used, `second_askings` times in all.
    """

    def __init__(
        self, model: LanguageModel, budget: Budget | None = None, *, second_askings: int = 0
    ) -> None:
        """Begin to count, and begin the budget's seconds."""
        self.wrapped = model
        self.calls = 0
        """Calls that were handed on, as a budget counts them, those that failed included."""
        self.questions = 0
        """The same, where a prefix with all its continuations is one."""
        self._budget = budget or Budget()
        self._tokens = 0
        self._second_askings = second_askings
        self._asked_before = False
        self._begin = time.monotonic()

    @property
    def name(self) -> str:
        """The wrapped model's name."""
        return self.wrapped.name

    @property
    def fingerprint(self) -> str:
        """The wrapped model's identity."""
        return self.wrapped.fingerprint

    @property
    def capabilities(self) -> Capabilities:
        """What the wrapped model can do."""
        return self.wrapped.capabilities

    @property
    def usage(self) -> Usage:
        """What the wrapped model has cost, all its callers together."""
        return self.wrapped.usage

    def begin_question(self) -> None:
        """The next answer is to a new question, and no second asking."""
        self._asked_before = False

    def generate(
        self,
        messages: Sequence[Message],
        *,
        schema: dict[str, Any] | None = None,
        max_tokens: int = 512,
        temperature: float = 0.0,
        seed: int = 0,
        stop: Sequence[str] = (),
        on_text: Callable[[str], object] | None = None,
        cancellation: Cancellation | None = None,
    ) -> Completion:
        """Answer, or raise BudgetSpentError; AnswerError when no second asking is left for this question."""
        if self._asked_before and self._second_askings < 1:
            raise AnswerError(
                f"the answer of {self.name} could not be used, and all second askings that the told cost "
                "counts with are spent: use a larger model"
            )
        counting = self._budget.tokens is not None
        prompt = count_message_tokens(self.wrapped, messages) if counting else 0
        self._pay(1, Cost(calls=1, prompt_tokens=prompt, completion_tokens=max_tokens))
        if self._asked_before:
            self._second_askings -= 1
        self._asked_before = True
        try:
            completion = self.wrapped.generate(
                messages,
                schema=schema,
                max_tokens=max_tokens,
                temperature=temperature,
                seed=seed,
                stop=stop,
                on_text=on_text,
                cancellation=cancellation,
            )
        except ContextLengthError:
            # What was too long was not answered: the shorter one that follows is a question of its own.
            self._asked_before = False
            raise
        if counting:
            written = completion.usage.completion_tokens or count_tokens(self.wrapped, completion.text)
            self._tokens += written - max_tokens + max(0, completion.usage.prompt_tokens - prompt)
        return completion

    def score(
        self, prefix: str, continuations: Sequence[str], *, cancellation: Cancellation | None = None
    ) -> list[Score]:
        """Score, or raise BudgetSpentError."""
        self._pay_for_scores([prefix], continuations)
        return self.wrapped.score(prefix, continuations, cancellation=cancellation)

    def score_by(self, model: LanguageModel, prefix: str, continuations: Sequence[str]) -> list[Score]:
        """Score by another model of the same weights, such as one that remembers more, within this budget."""
        self._pay_for_scores([prefix], continuations)
        return model.score(prefix, continuations)

    def score_prefixes(
        self,
        prefixes: Sequence[str],
        continuations: Sequence[str],
        *,
        cancellation: Cancellation | None = None,
    ) -> list[list[Score]]:
        """Score after each prefix, or raise BudgetSpentError."""
        self._pay_for_scores(prefixes, continuations)
        return score_prefixes(self.wrapped, prefixes, continuations, cancellation=cancellation)

    def affordable(self, prefixes: Sequence[str], continuations: Sequence[str]) -> int:
        """How many of the prefixes, from the first on, the budget pays to score after."""
        calls, tokens = self._budget.calls, self._budget.tokens
        spent = Cost(calls=self.calls)
        for at, prefix in enumerate(prefixes):
            spent += self._cost_of_scores([prefix], continuations)
            if calls is not None and spent.calls > calls:
                return at
            if tokens is not None and self._tokens + spent.tokens > tokens:
                return at
        return len(prefixes)

    def close(self) -> None:
        """Close the wrapped model."""
        self.wrapped.close()

    def _cost_of_scores(self, prefixes: Sequence[str], continuations: Sequence[str]) -> Cost:
        """The calls, and the tokens where they are counted."""
        counting = self._budget.tokens is not None

        def length(text: str) -> int:
            return count_tokens(self.wrapped, text) if counting else 0

        ends = [length(text) for text in continuations]
        each = [scoring_cost(self.wrapped, length(prefix), ends) for prefix in prefixes]
        return sum(each, start=Cost())

    def _pay_for_scores(self, prefixes: Sequence[str], continuations: Sequence[str]) -> None:
        self._pay(len(prefixes), self._cost_of_scores(prefixes, continuations))

    def _pay(self, questions: int, cost: Cost) -> None:
        budget = self._budget
        if budget.calls is not None and self.calls + cost.calls > budget.calls:
            raise BudgetSpentError(f"the budget of {budget.calls} calls is spent: raise it")
        if budget.tokens is not None and self._tokens + cost.tokens > budget.tokens:
            raise BudgetSpentError(f"the budget of {budget.tokens} tokens is too small for more: raise it")
        if budget.seconds is not None and time.monotonic() - self._begin >= budget.seconds:
            raise BudgetSpentError(f"the budget of {budget.seconds:g} seconds is spent: raise it")
        self.questions += questions
        self.calls += cost.calls
        self._tokens += cost.tokens
