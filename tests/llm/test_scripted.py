"""The scripted model that users' tests lean on."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from llmrec.errors import AnswerError, CallCancelledError, InputError, ModelError, ModelUnavailableError
from llmrec.llm.base import Capabilities, Completion, Message, Usage
from llmrec.llm.cancellation import Cancellation
from llmrec.llm.scripted import ScriptedCall, ScriptedModel
from tests.llm.contract import LanguageModelContract

QUESTION = [Message(role="user", content="Name a colour.")]


class Colour(BaseModel):
    name: str


class TestContract(LanguageModelContract):
    @pytest.fixture
    def model(self) -> ScriptedModel:
        return ScriptedModel(*["Once upon a time a fox met an owl, and they talked all night."] * 3)


class TestAnswers:
    def test_answers_come_in_order_and_in_every_form(self) -> None:
        whole = Completion(text="blu", finish_reason="length", structured="prompted", usage=Usage(calls=7))
        model = ScriptedModel("red", {"name": "绿"})
        model.enqueue(Colour(name="blue"), whole)
        texts = [model.generate(QUESTION).text for _ in range(3)]
        assert texts == ["red", '{"name": "绿"}', '{"name":"blue"}']
        assert model.generate(QUESTION) == whole

    def test_an_exception_is_raised_and_the_next_answer_stays(self) -> None:
        model = ScriptedModel(ModelUnavailableError("busy"), "red")
        with pytest.raises(ModelUnavailableError, match="busy"):
            model.generate(QUESTION)
        assert model.generate(QUESTION).text == "red"
        assert model.usage.calls == 2

    def test_running_out_says_how_many_were_asked(self) -> None:
        model = ScriptedModel("red")
        model.generate(QUESTION)
        with pytest.raises(AnswerError, match="asked for answer 2, but only 1 were enqueued"):
            model.generate(QUESTION)

    @pytest.mark.parametrize("answer", [3, None, ["a"], ValueError])
    def test_other_things_are_no_answers(self, answer: object) -> None:
        with pytest.raises(InputError, match="cannot be a"):
            ScriptedModel().enqueue(answer)  # type: ignore[arg-type]

    def test_a_long_answer_is_cut_as_a_model_would(self) -> None:
        model = ScriptedModel("x" * 41, "x" * 40)
        assert model.generate(QUESTION, max_tokens=10).finish_reason == "length"
        whole = model.generate(QUESTION, max_tokens=10)
        assert (whole.finish_reason, whole.usage.completion_tokens) == ("stop", 10)

    def test_an_answer_ends_at_a_stop_text(self) -> None:
        assert ScriptedModel("red\n\nblue").generate(QUESTION, stop=["\n\n"]).text == "red"

    def test_answers_to_a_schema_say_how_they_were_held_to_it(self) -> None:
        weak = Capabilities(score=False, generate=True, structured="prompted", open_answers=False)
        model = ScriptedModel("{}", "{}", capabilities=weak)
        assert model.capabilities == weak
        assert model.generate(QUESTION, schema={}).structured == "prompted"
        assert model.generate(QUESTION).structured == "none"


class TestPieces:
    def test_an_answer_comes_word_by_word(self) -> None:
        pieces: list[str] = []
        model = ScriptedModel(" Red, then  green.\n", "红色,and 绿", {"name": "red"}, "red and green")
        for stop in ([], [], [], [" green", "and"]):
            model.generate(QUESTION, on_text=pieces.append, stop=stop)
        assert pieces == [
            *(" Red,", " then", "  green.", "\n"),
            *("红", "色", ",and", " 绿"),
            *('{"name":', ' "red"}'),
            *("red", " "),
        ]

    @given(st.text(st.sampled_from("ab \n\u2e7f\u2e80电🎬\ud83d"), max_size=20) | st.text())
    def test_pieces_are_together_the_answer(self, text: str) -> None:
        pieces: list[str] = []
        answer = ScriptedModel(text).generate(QUESTION, on_text=pieces.append, max_tokens=3)
        assert "".join(pieces) == answer.text == text[:12]
        assert "" not in pieces

    def test_a_cancelled_answer_ends_after_the_word_and_is_used_up(self) -> None:
        cancellation, pieces = Cancellation(), list[str]()

        def hear(piece: str) -> None:
            pieces.append(piece)
            if piece == " two":
                cancellation.cancel()

        whole = Completion(text="one two three four", structured="prompted")
        model = ScriptedModel("one two three", "red")
        model.enqueue(whole)
        cut = model.generate(QUESTION, schema={}, on_text=hear, cancellation=cancellation)
        assert (cut.text, cut.finish_reason, cut.structured) == ("one two", "cancelled", "json_schema")
        assert cut.usage == model.usage == Usage(calls=1, prompt_tokens=4, completion_tokens=2)
        assert model.generate(QUESTION, cancellation=cancellation) == Completion(
            text="", finish_reason="cancelled"
        )
        assert [model.generate(QUESTION).text, model.generate(QUESTION)] == [
            "red",
            whole.model_copy(update={"usage": Usage(calls=1, prompt_tokens=4, completion_tokens=5)}),
        ]
        assert len(model.history) == 4

    def test_an_answer_that_was_all_said_is_whole(self) -> None:
        cancellation = Cancellation()
        answer = ScriptedModel("red").generate(
            QUESTION, on_text=lambda _: cancellation.cancel(), cancellation=cancellation
        )
        assert (answer.text, answer.finish_reason) == ("red", "stop")

    def test_what_on_text_raises_counts_what_was_said(self) -> None:
        def hear(piece: str) -> None:
            raise KeyError(piece)

        model = ScriptedModel("one two three", "red")
        with pytest.raises(KeyError, match="one"):
            model.generate(QUESTION, on_text=hear)
        assert model.usage.completion_tokens == 1
        assert model.generate(QUESTION).text == "red"

    def test_on_text_may_ask_the_model_itself(self) -> None:
        model, inner = ScriptedModel("one two", "red", "blue"), list[str]()
        with ThreadPoolExecutor(1) as pool:
            model.generate(
                QUESTION,
                on_text=lambda _: inner.append(pool.submit(model.generate, QUESTION).result(10).text),
            )
        assert inner == ["red", "blue"]


class TestHistory:
    def test_every_call_is_kept_as_it_was_made(self) -> None:
        model = ScriptedModel("red")
        schema = {"type": "object"}
        model.generate(QUESTION, schema=schema, max_tokens=9, temperature=0.1, seed=4, stop=["."])
        model.score("a b", [" c", " d"])
        assert model.history == [
            ScriptedCall(
                kind="generate",
                messages=tuple(QUESTION),
                schema=schema,
                max_tokens=9,
                temperature=0.1,
                seed=4,
                stop=(".",),
            ),
            ScriptedCall(kind="score", prefix="a b", continuations=(" c", " d")),
        ]

    def test_the_history_is_the_callers_own_copy(self) -> None:
        model = ScriptedModel()
        model.score("a", [" b"])
        model.history.clear()
        assert len(model.history) == 1

    def test_threads_share_the_queue_without_loss(self) -> None:
        model = ScriptedModel(*[str(number) for number in range(200)])
        with ThreadPoolExecutor(8) as pool:
            texts = list(pool.map(lambda _: model.generate(QUESTION).text, range(200)))
        assert sorted(texts, key=int) == [str(number) for number in range(200)]
        assert len(model.history) == model.usage.calls == 200


class TestScores:
    def test_words_of_the_prefix_are_likelier(self) -> None:
        model = ScriptedModel()
        twice, once, never = (
            score.logprob for score in model.score("owl fox owl", [" Owl", " fox", " bear"])
        )
        assert twice > once > never
        assert model.score("我喜欢电影", ["电影"])[0].logprob > model.score("我喜欢音乐", ["电影"])[0].logprob
        assert model.score("我喜欢电影", ["电影"])[0].tokens == 2

    def test_a_function_scores(self) -> None:
        model = ScriptedModel(scores=lambda prefix, continuation: -float(len(prefix + continuation)))
        assert [score.logprob for score in model.score("ab", [" c", ""])] == [-4.0, -2.0]
        assert [score.tokens for score in model.score("ab", [" c d", ""])] == [2, 0]

    def test_a_mapping_scores_what_it_holds(self) -> None:
        model = ScriptedModel(scores={"fox": -1.5, " owl": -2.5})
        fox, owl, bear = model.score("a", [" fox", " owl", " bear"])
        assert (fox.logprob, owl.logprob) == (-1.5, -2.5)
        assert bear == ScriptedModel().score("a", [" bear"])[0]

    def test_a_rule_may_cancel(self) -> None:
        cancellation, asked = Cancellation(), list[str]()

        def rule(prefix: str, continuation: str) -> float:
            asked.append(continuation)
            if continuation == " b":
                cancellation.cancel()
            return -1.0

        model = ScriptedModel(scores=rule)
        with pytest.raises(CallCancelledError):
            model.score("a", [" a", " b", " c"], cancellation=cancellation)
        assert asked == [" a", " b"]
        with pytest.raises(CallCancelledError):
            model.score("a", [], cancellation=cancellation)
        assert (model.usage.calls, len(model.history)) == (1, 2)

    @pytest.mark.parametrize("value", [0.1, float("nan"), float("-inf")])
    def test_a_rule_that_gives_no_log_probability_is_refused(self, value: float) -> None:
        with pytest.raises(ModelError, match="a log-probability is at most 0"):
            ScriptedModel(scores=lambda *_: value).score("a", [" b"])


def test_instances_differ_unless_they_are_told_not_to() -> None:
    assert ScriptedModel().fingerprint != ScriptedModel().fingerprint
    assert ScriptedModel(fingerprint="same").fingerprint == "same"
    assert json.dumps(ScriptedModel().name) == '"scripted"'
