"""Answers piece by piece, and threads that end with them."""

from __future__ import annotations

import contextvars
import gc
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from llmrec.errors import AnswerError, ModelUnavailableError
from llmrec.llm import background
from llmrec.llm.background import BackgroundCall, run_apart
from llmrec.llm.base import Completion, Message
from llmrec.llm.cache import CachedModel, ModelCallCache, naming_prompt
from llmrec.llm.cancellation import Cancellation
from llmrec.llm.scripted import ScriptedModel
from llmrec.llm.streaming import TextStream, stream

QUESTION = [Message(role="user", content="Name a colour.")]
SOON = 5.0


class EndlessModel(ScriptedModel):
    """Says `la` until it is cancelled, and remembers how it ended."""

    def __init__(self, fails: bool = False) -> None:
        super().__init__()
        self.fails = fails
        self.ended = threading.Event()

    def generate(
        self,
        messages: Sequence[Message],
        *,
        on_text: Callable[[str], object] | None = None,
        cancellation: Cancellation | None = None,
        **options: Any,
    ) -> Completion:
        assert on_text is not None
        assert cancellation is not None
        said = 0
        while not cancellation.wait(0.001):
            on_text("la ")
            said += 1
            if self.fails and said == 3:
                raise ModelUnavailableError("the singer is hoarse")
        self.ended.set()
        return Completion(text="la " * said, finish_reason="cancelled")


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Any:
    yield
    gc.collect()
    deadline = time.monotonic() + SOON
    while left := [thread.name for thread in threading.enumerate() if thread.name.startswith("llmrec")]:
        assert time.monotonic() < deadline, left
        time.sleep(0.005)


class TestStream:
    def test_pieces_then_the_completion(self) -> None:
        model = ScriptedModel("red, green and blue", "red, green and blue")
        answer = stream(model, QUESTION, max_tokens=9, stop=[" and"], seed=3)
        assert list(answer) == ["red,", " green"]
        assert answer.completion == model.generate(QUESTION, max_tokens=9, stop=[" and"], seed=3)
        assert model.history[0] == model.history[1]
        assert list(answer) == []

    def test_the_completion_waits_for_its_end(self) -> None:
        answer = stream(ScriptedModel("red, green"), QUESTION)
        assert answer.completion.text == "red, green"
        assert "".join(answer) == "red, green"

    def test_what_the_model_raises_is_raised_after_what_it_said(self) -> None:
        answer = stream(EndlessModel(fails=True), QUESTION)
        pieces: list[str] = []
        with pytest.raises(ModelUnavailableError, match="hoarse"):
            pieces.extend(answer)
        assert pieces == ["la "] * 3
        assert list(answer) == []
        with pytest.raises(ModelUnavailableError, match="hoarse"):
            _ = answer.completion

    def test_options_that_the_model_does_not_take(self) -> None:
        with pytest.raises(TypeError):
            list(stream(ScriptedModel("red"), QUESTION, colour="red"))

    def test_leaving_early_ends_the_call(self) -> None:
        model = EndlessModel()
        with stream(model, QUESTION) as answer:
            assert [next(answer), next(answer)] == ["la ", "la "]
        assert model.ended.is_set()
        assert answer.completion.finish_reason == "cancelled"
        assert list(answer) == []
        answer.close()

    def test_an_error_in_the_block_ends_the_call_too(self) -> None:
        model = EndlessModel()
        with pytest.raises(KeyboardInterrupt), stream(model, QUESTION):
            raise KeyboardInterrupt
        assert model.ended.is_set()

    @pytest.mark.parametrize("in_a_cycle", [False, True])
    def test_one_that_is_dropped_is_cancelled(self, in_a_cycle: bool) -> None:
        model = EndlessModel()
        answer: TextStream | None = stream(model, QUESTION)
        for _ in answer:
            break
        if in_a_cycle:
            answer.myself = answer  # type: ignore[union-attr]
        answer = None
        gc.collect()
        assert model.ended.wait(SOON)

    def test_closing_wakes_who_waits_for_a_piece(self) -> None:
        class SilentModel(EndlessModel):
            def generate(self, *args: Any, on_text: Any = None, **options: Any) -> Completion:
                return super().generate(*args, on_text=lambda _: None, **options)

        answer = stream(SilentModel(), QUESTION)
        timer = threading.Timer(0.05, answer.close)
        timer.start()
        assert list(answer) == []
        timer.join()

    def test_a_cancellation_from_outside_ends_it_and_leaving_does_not_touch_it(self) -> None:
        cancellation = Cancellation()
        with stream(EndlessModel(), QUESTION, cancellation=cancellation) as first:
            next(first)
        assert not cancellation.cancelled
        with stream(EndlessModel(), QUESTION, cancellation=cancellation) as second:
            next(second)
            cancellation.cancel()
            assert "".join(second) + "la " == second.completion.text
        assert second.completion.finish_reason == "cancelled"
        assert list(stream(ScriptedModel("red"), QUESTION, cancellation=cancellation)) == []

    def test_calls_are_stored_under_the_prompt_of_the_caller(self) -> None:
        cache = ModelCallCache()
        with naming_prompt("abc"):
            answer = stream(CachedModel(ScriptedModel("red"), cache), QUESTION)
        assert list(answer) == ["red"]
        assert cache._connection.execute("SELECT prompt_id FROM model_calls").fetchall() == [("abc",)]
        cache.close()

    def test_a_program_that_ends_does_not_wait_for_the_answer(self) -> None:
        program = (
            "import atexit\n"
            "from tests.llm.test_streaming import EndlessModel, QUESTION, stream\n"
            "model = EndlessModel()\n"
            # What was registered first is called last.
            "atexit.register(lambda: print('ended' if model.ended.is_set() else 'still at it'))\n"
            "answer = stream(model, QUESTION)\n"
            "next(answer)\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.stdout, done.stderr, done.returncode) == ("ended\n", "", 0)


class TestRunningApart:
    def test_pieces_are_heard_in_the_thread_of_the_caller(self) -> None:
        variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
        variable.set("of the caller")
        heard: list[tuple[str, int]] = []

        def work(hand_over: Callable[[str], None], _: Cancellation) -> tuple[str, int]:
            hand_over("a")
            hand_over("b")
            return variable.get(), threading.get_ident()

        seen, ident = run_apart(
            work,
            on_text=lambda text: heard.append((text, threading.get_ident())),
            cancellation=None,
            name="llmrec-test",
        ) or ("", 0)
        assert seen == "of the caller"
        assert ident != threading.get_ident()
        assert heard == [("a", threading.get_ident()), ("b", threading.get_ident())]

    def test_what_the_work_raises(self) -> None:
        def work(hand_over: Callable[[str], None], _: Cancellation) -> None:
            raise AnswerError("no")

        with pytest.raises(AnswerError):
            run_apart(work, on_text=None, cancellation=Cancellation(), name="llmrec-test")

    def test_what_on_text_raises_ends_the_work(self) -> None:
        seen: list[bool] = []

        def work(hand_over: Callable[[str], None], own: Cancellation) -> None:
            hand_over("a")
            seen.append(own.wait(10))

        def hear(text: str) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            run_apart(work, on_text=hear, cancellation=None, name="llmrec-test")
        assert seen == [True]

    def test_nothing_is_heard_after_the_cancellation(self) -> None:
        cancellation, heard = Cancellation(), list[str]()

        def work(hand_over: Callable[[str], None], own: Cancellation) -> str:
            for text in "abc":
                hand_over(text)
            own.wait(10)
            return "abc"

        def hear(text: str) -> None:
            heard.append(text)
            cancellation.cancel()

        assert run_apart(work, on_text=hear, cancellation=cancellation, name="llmrec-test") is None
        assert heard == ["a"]

    def test_work_that_takes_no_notice_is_left_to_itself(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(background, "PATIENCE", 0.05)
        cancellation, release = Cancellation(), threading.Event()
        timer = threading.Timer(0.05, cancellation.cancel)
        timer.start()
        begin = time.monotonic()

        def work(hand_over: Callable[[str], None], own: Cancellation) -> bool:
            return release.wait(30)

        assert run_apart(work, on_text=None, cancellation=cancellation, name="llmrec-test") is None
        assert time.monotonic() - begin < 10
        release.set()
        timer.join()

    def test_ending_it_twice_and_asking_for_more(self) -> None:
        call = BackgroundCall(lambda hand_over, _: hand_over("a"), name="llmrec-test")
        assert list(call) == ["a"]
        assert call.next_piece() is None
        call.end()
        call.end()
        assert call.outcome.done()
