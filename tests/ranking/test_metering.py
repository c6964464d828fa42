"""Counting tokens, and models that keep within a budget."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import pytest

from llmrec.errors import AnswerError, ContextLengthError
from llmrec.llm.base import Completion, LanguageModel, Message, Usage
from llmrec.llm.cache import CachedModel, ModelCallCache
from llmrec.llm.openai import OpenAIModel
from llmrec.llm.scripted import ScriptedModel
from llmrec.ranking.base import Budget, Cost
from llmrec.ranking.likelihood import LikelihoodRatio
from llmrec.ranking.metering import BudgetSpentError, MeteredModel, count_tokens, innermost, scoring_cost
from llmrec.ranking.query_likelihood import QueryLikelihood
from llmrec.ranking.yes_no import YesNo
from tests.builders import SCORES_ONLY, scoring_model
from tests.ranking.asking_models import LIBRARY, Judge, films, request_of

QUESTION = [Message(role="user", content="Which?" * 4)]


def test_the_estimate_is_four_characters_a_token_and_one_for_chinese() -> None:
    model = ScriptedModel()
    assert count_tokens(model, "") == 0
    assert count_tokens(model, "abcd efgh") == 3
    assert count_tokens(model, "沙丘") == 2
    assert count_tokens(model, "沙丘 Dune") == 2 + 2


def test_a_tokenizer_is_found_through_what_wraps_the_model() -> None:
    class Words(ScriptedModel):
        def tokenize(self, text: str) -> list[int]:
            return [1] * len(text.split())

    words = Words()
    with closing(ModelCallCache()) as cache:
        wrapped = MeteredModel(CachedModel(words, cache))
        assert innermost(wrapped) is words
        assert count_tokens(wrapped, "one two three") == 3


@pytest.mark.embedded
def test_the_estimate_is_near_a_real_count(embedded_model: LanguageModel) -> None:
    text = "Things this person chose and liked: Blade Runner, a quiet film about a tired policeman. " * 5
    counted = count_tokens(embedded_model, text)
    assert counted == len(embedded_model.tokenize(text))  # type: ignore[attr-defined]
    assert count_tokens(ScriptedModel(), text) == pytest.approx(counted, rel=1 / 3)


def test_no_call_is_made_that_would_pass_the_calls() -> None:
    model = scoring_model()
    metered = MeteredModel(model, Budget(calls=3))
    metered.score("a", [" b"])
    with pytest.raises(BudgetSpentError, match="3 calls"):
        metered.score_prefixes(["a", "b", "c"], [" d"])
    assert metered.affordable(["a", "b", "c"], [" d"]) == 2
    metered.score_prefixes(["a", "b"], [" d"])
    assert len(model.history) == metered.calls == 3
    assert metered.affordable(["a"], [" d"]) == 0


def test_tokens_are_counted_before_a_call_and_given_back_where_an_answer_was_short() -> None:
    model = ScriptedModel("yes", "no")
    # 10 for the prompt of 24 characters with what stands around it.
    metered = MeteredModel(model, Budget(tokens=60))
    metered.generate(QUESTION, max_tokens=50)
    metered.begin_question()
    with pytest.raises(BudgetSpentError, match="60 tokens"):
        metered.generate(QUESTION, max_tokens=50)
    metered.generate(QUESTION, max_tokens=39)
    assert len(model.history) == 2


def test_what_a_server_reports_counts_where_it_is_more() -> None:
    model = ScriptedModel(
        Completion(text="yes", usage=Usage(calls=1, prompt_tokens=300, completion_tokens=50))
    )
    metered = MeteredModel(model, Budget(tokens=1000))
    metered.generate(QUESTION, max_tokens=100)
    assert metered.affordable(["x" * 4 * 649], [""]) == 1
    assert metered.affordable(["x" * 4 * 651], [""]) == 0


def test_second_askings_are_as_many_as_allowed() -> None:
    model = ScriptedModel(*["?"] * 5)
    metered = MeteredModel(model, second_askings=1)
    for _ in range(2):
        metered.generate(QUESTION)
    with pytest.raises(AnswerError, match="second askings"):
        metered.generate(QUESTION)
    metered.begin_question()
    metered.generate(QUESTION)
    assert len(model.history) == 3


def test_what_follows_a_refusal_for_length_is_no_second_asking() -> None:
    model = ScriptedModel(ContextLengthError("too long"), "yes")
    metered = MeteredModel(model)
    with pytest.raises(ContextLengthError):
        metered.generate(QUESTION)
    assert metered.generate(QUESTION).text == "yes"


def test_it_is_the_model_for_everything_else() -> None:
    model = ScriptedModel()
    metered: Any = MeteredModel(model, Budget(seconds=100))
    assert isinstance(metered, LanguageModel)
    assert (metered.name, metered.fingerprint) == (model.name, model.fingerprint)
    assert (metered.capabilities, metered.usage) == (model.capabilities, model.usage)


class Server(Judge):
    """Gets a request for every continuation, each with the whole prefix, and says what they cost."""

    scores_alone = True
    requests = 0
    tokens = 0

    def score(self, prefix: str, continuations: Any, **options: Any) -> Any:
        self.requests += len(continuations)
        for text in continuations:
            self.tokens += count_tokens(self, prefix) + count_tokens(self, text) + 1
        return super().score(prefix, continuations, **options)


def test_a_server_gets_a_request_for_each_continuation_with_the_whole_prefix() -> None:
    assert OpenAIModel.scores_alone
    server = Server({})
    with closing(ModelCallCache()) as cache:
        wrapped = CachedModel(server, cache)
        assert scoring_cost(wrapped, 100, [2, 3]) == Cost(calls=2, prompt_tokens=205, completion_tokens=2)
    assert scoring_cost(scoring_model(), 100, [2, 3]) == Cost(calls=1, prompt_tokens=105)
    metered = MeteredModel(Server({1: 1.0}), Budget(calls=5))
    metered.score("a", [" Film 1", " Film 1"])
    assert (metered.calls, metered.questions) == (2, 1)
    assert metered.affordable(["a", "b"], [" x", " y"]) == 1
    with pytest.raises(BudgetSpentError, match="5 calls"):
        metered.score_prefixes(["a", "b"], [" x", " y"])
    assert metered.wrapped.requests == 2  # type: ignore[attr-defined]


@pytest.mark.parametrize("count", [3, 40])
@pytest.mark.parametrize("strategy", [LikelihoodRatio, QueryLikelihood, YesNo])
def test_the_told_cost_of_a_server_holds_and_so_does_a_budget(strategy: Any, count: int) -> None:
    server = Server({n: float(n) for n in range(count)}, capabilities=SCORES_ONLY)
    request = request_of(films(count))
    told = strategy(server, LIBRARY).cost(request)
    seen: list[tuple[int, int]] = []
    strategy(server, LIBRARY).score(request, progress=lambda *so_far: seen.append(so_far))
    assert told.calls / 1.1 <= server.requests <= told.calls
    assert told.tokens / 1.5 <= server.tokens <= told.tokens
    assert seen[-2][0] == seen[-1][1], "progress counts questions, whatever they cost"
    for budget in (Budget(calls=told.calls // 2), Budget(tokens=told.tokens // 2)):
        server.requests = server.tokens = 0
        found = strategy(server, LIBRARY).score(request, budget=budget)
        assert server.requests <= (budget.calls if budget.calls is not None else told.calls)
        assert server.tokens <= (budget.tokens if budget.tokens is not None else told.tokens)
        assert any("budget" in note for note in found.notes)
