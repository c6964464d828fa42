"""What every LanguageModel keeps to. A new implementation's test is a subclass with a `model` fixture:

class TestMyModel(LanguageModelContract):
    knows_english = True  # a real model, which finds likely text likely

    @pytest.fixture
    def model(self):
        model = MyModel()
        yield model
        model.close()
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from llmrec.errors import CallCancelledError, ModelError
from llmrec.llm.base import Completion, LanguageModel, Message, score_prefixes
from llmrec.llm.cancellation import Cancellation

CONVERSATION = [Message(role="user", content="Tell me a story about a fox and an owl.")]
PREFIX = "The fox asked the owl"
OTHER_PREFIXES = ["A bicycle is", "The fox asked the bear"]
CONTINUATIONS = [" to follow the fox", " about quantum bicycles", " nothing"]
# Kernels give other last digits for other shapes of a batch.
TOLERANCE = {"rel": 1e-3, "abs": 0.02}
# Long enough to be cut in the middle, and short enough for a slow machine.
ANSWER_TOKENS = 24


class EnoughError(Exception):
    """What a test's `on_text` raises."""


def cancel_from_another_thread(cancellation: Cancellation) -> None:
    thread = threading.Thread(target=cancellation.cancel)
    thread.start()
    thread.join()


class LanguageModelContract:
    """The tests; `model` is the fixture to write, and must be a model that nobody else closes."""

    knows_english = False
    tolerance: dict[str, float] = TOLERANCE

    @pytest.fixture
    def model(self) -> LanguageModel:
        pytest.fail("a test class of this contract needs a fixture named model")

    @pytest.fixture
    def model_to_close(self, model: LanguageModel) -> LanguageModel:
        """Override when `model` outlives one test."""
        return model

    def test_is_a_language_model_with_a_name_and_an_identity(self, model: LanguageModel) -> None:
        # Before Python 3.12, isinstance would ask for the properties' values, and a server for them.
        for member in ("name", "fingerprint", "capabilities", "usage", "generate", "score", "close"):
            assert hasattr(type(model), member)
        assert model.name.strip()
        assert model.fingerprint.strip()
        assert model.fingerprint == model.fingerprint

    def test_capabilities_are_consistent_and_stay(self, model: LanguageModel) -> None:
        capabilities = model.capabilities
        assert capabilities.generate or (capabilities.structured == "none" and not capabilities.open_answers)
        assert capabilities.context_length is None or capabilities.context_length > 0
        before = model.usage
        assert model.capabilities == capabilities
        assert model.usage == before

    def test_scores_are_log_probabilities_one_a_continuation(self, model: LanguageModel) -> None:
        scores = model.score(PREFIX, CONTINUATIONS)
        assert len(scores) == len(CONTINUATIONS)
        for score in scores:
            assert math.isfinite(score.logprob)
            assert score.logprob <= 0
            assert score.tokens >= 1

    def test_continuations_have_no_influence_on_each_other(self, model: LanguageModel) -> None:
        together = model.score(PREFIX, CONTINUATIONS)
        backwards = model.score(PREFIX, CONTINUATIONS[::-1])[::-1]
        alone = [model.score(PREFIX, [continuation])[0] for continuation in CONTINUATIONS]
        for scores in (backwards, alone):
            assert [score.tokens for score in scores] == [score.tokens for score in together]
            assert [score.logprob for score in scores] == pytest.approx(
                [score.logprob for score in together], **self.tolerance
            )

    def test_equal_continuations_score_alike(self, model: LanguageModel) -> None:
        first, _, second = model.score(PREFIX, [CONTINUATIONS[0], CONTINUATIONS[1], CONTINUATIONS[0]])
        assert first.tokens == second.tokens
        assert first.logprob == pytest.approx(second.logprob, **self.tolerance)

    def test_the_prefix_matters(self, model: LanguageModel) -> None:
        after_itself = model.score("wood wood wood wood", [" wood"])[0].logprob
        after_other = model.score("ship ship ship ship", [" wood"])[0].logprob
        assert after_itself > after_other

    def test_likely_text_scores_higher(self, model: LanguageModel) -> None:
        if not self.knows_english:
            pytest.skip("not a model that has read anything")
        paris, spoon = model.score("The capital of France is", [" Paris", " spoon"])
        assert paris.logprob > spoon.logprob + 1

    def test_text_in_other_scripts_is_scored(self, model: LanguageModel) -> None:
        scores = model.score("我喜欢", ["电影", " кино 🎬"])
        assert all(math.isfinite(score.logprob) and score.logprob < 0 for score in scores)
        assert all(score.tokens >= 1 for score in scores)

    def test_no_continuations_cost_nothing(self, model: LanguageModel) -> None:
        before = model.usage
        assert model.score(PREFIX, []) == []
        assert model.usage == before

    def test_answers_are_no_longer_than_allowed(self, model: LanguageModel) -> None:
        short = model.generate(CONVERSATION, max_tokens=4)
        assert isinstance(short, Completion)
        assert short.finish_reason == "length"
        assert short.usage.completion_tokens <= 4
        assert 0 < len(short.text) <= 4 * 20

    def test_usage_grows_with_every_call(self, model: LanguageModel) -> None:
        before = model.usage
        model.generate(CONVERSATION, max_tokens=3)
        between = model.usage - before
        assert between.calls + between.cached_calls >= 1
        assert between.calls == 0 or between.completion_tokens >= 1
        before = model.usage
        model.score(PREFIX, [" once more"])
        after = model.usage - before
        assert after.calls + after.cached_calls >= 1

    def test_pieces_are_the_answer(self, model: LanguageModel) -> None:
        pieces: list[str] = []
        threads: set[int] = set()

        def hear(piece: str) -> None:
            pieces.append(piece)
            threads.add(threading.get_ident())

        heard = model.generate(CONVERSATION, max_tokens=ANSWER_TOKENS, on_text=hear)
        unheard = model.generate(CONVERSATION, max_tokens=ANSWER_TOKENS)
        assert "".join(pieces) == heard.text == unheard.text != ""
        assert "" not in pieces
        assert threads == {threading.get_ident()}
        assert heard.finish_reason == unheard.finish_reason
        assert heard.structured == unheard.structured == "none"

    def test_a_stop_string_across_pieces_ends_the_answer(self, model: LanguageModel) -> None:
        pieces: list[str] = []
        model.generate(CONVERSATION, max_tokens=ANSWER_TOKENS, on_text=pieces.append)
        whole, stop = "".join(pieces), stop_across(pieces)
        shorter: list[str] = []
        answer = model.generate(
            CONVERSATION, max_tokens=ANSWER_TOKENS, stop=["never said", stop], on_text=shorter.append
        )
        assert "".join(shorter) == answer.text == whole.partition(stop)[0]
        assert answer.finish_reason == "stop"

    def test_what_on_text_raises_ends_the_call(self, model: LanguageModel) -> None:
        pieces: list[str] = []

        def hear(piece: str) -> None:
            pieces.append(piece)
            raise EnoughError

        with pytest.raises(EnoughError):
            model.generate(CONVERSATION, max_tokens=ANSWER_TOKENS, on_text=hear)
        assert len(pieces) == 1
        assert model.generate(CONVERSATION, max_tokens=ANSWER_TOKENS).text.startswith(pieces[0])

    def test_a_call_cancelled_in_its_middle_keeps_what_was_said(self, model: LanguageModel) -> None:
        before = model.score(PREFIX, CONTINUATIONS[:1])
        cancellation, pieces = Cancellation(), []

        def hear(piece: str) -> None:
            pieces.append(piece)
            if len(pieces) == 1:
                cancel_from_another_thread(cancellation)

        cut = model.generate(CONVERSATION, max_tokens=ANSWER_TOKENS, on_text=hear, cancellation=cancellation)
        assert cut.finish_reason == "cancelled"
        assert cut.text == "".join(pieces) != ""
        whole = model.generate(CONVERSATION, max_tokens=ANSWER_TOKENS, cancellation=Cancellation())
        assert whole.finish_reason != "cancelled"
        assert whole.text.startswith(cut.text)
        assert len(whole.text) > len(cut.text)
        (after,) = model.score(PREFIX, CONTINUATIONS[:1])
        assert after.logprob == pytest.approx(before[0].logprob, **self.tolerance)

    def test_a_call_cancelled_before_it_begins_says_nothing(self, model: LanguageModel) -> None:
        cancellation, pieces = Cancellation(), []
        cancellation.cancel()
        cut = model.generate(
            CONVERSATION, max_tokens=ANSWER_TOKENS, on_text=pieces.append, cancellation=cancellation
        )
        assert (cut.text, cut.finish_reason, pieces) == ("", "cancelled", [])
        assert cut.usage.completion_tokens == 0
        assert model.generate(CONVERSATION, max_tokens=ANSWER_TOKENS).text

    def test_scoring_can_be_cancelled(self, model: LanguageModel) -> None:
        cancellation = Cancellation()
        before = model.score(PREFIX, CONTINUATIONS, cancellation=cancellation)
        cancellation.cancel()
        # Also what is known by now: whoever cancels must not depend on what a model remembers.
        with pytest.raises(CallCancelledError):
            model.score(PREFIX, CONTINUATIONS, cancellation=cancellation)
        with pytest.raises(CallCancelledError):
            score_prefixes(model, [PREFIX, *OTHER_PREFIXES], CONTINUATIONS, cancellation=cancellation)
        after = model.score(PREFIX, CONTINUATIONS)
        assert [score.logprob for score in after] == pytest.approx(
            [score.logprob for score in before], **self.tolerance
        )

    def test_prefixes_together_score_as_one_by_one(self, model: LanguageModel) -> None:
        prefixes = [PREFIX, *OTHER_PREFIXES, PREFIX]
        together = score_prefixes(model, prefixes, CONTINUATIONS)
        assert len(together) == len(prefixes)
        for prefix, scores in zip(prefixes, together, strict=True):
            alone = model.score(prefix, CONTINUATIONS)
            assert [score.tokens for score in scores] == [score.tokens for score in alone]
            assert [score.logprob for score in scores] == pytest.approx(
                [score.logprob for score in alone], **self.tolerance
            )
        assert score_prefixes(model, [], CONTINUATIONS) == []
        assert score_prefixes(model, prefixes[:2], []) == [[], []]

    def test_threads_may_share_it(self, model: LanguageModel) -> None:
        expected = [score.logprob for score in model.score(PREFIX, CONTINUATIONS)]

        def score(number: int) -> float:
            return model.score(PREFIX, [CONTINUATIONS[number % len(CONTINUATIONS)]])[0].logprob

        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(score, range(6)))
        assert found == pytest.approx(expected * 2, **self.tolerance)

    def test_closing_twice_is_allowed_and_using_it_afterwards_is_not(
        self, model_to_close: LanguageModel
    ) -> None:
        model_to_close.close()
        model_to_close.close()
        uses: list[Callable[[], object]] = [
            lambda: model_to_close.score(PREFIX, CONTINUATIONS),
            lambda: model_to_close.generate(CONVERSATION, max_tokens=2),
        ]
        for use in uses:
            with pytest.raises(ModelError):
                use()


def stop_across(pieces: list[str]) -> str:
    """Some text that begins in one piece and ends in the next, from the middle of an answer."""
    middle = len(pieces) // 2
    if middle == 0:
        return pieces[0][len(pieces[0]) // 2 :][:2]
    return pieces[middle - 1][-1:] + pieces[middle][:1]
