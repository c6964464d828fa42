"""Streamed answers of a server: the same as unstreamed ones, cut off at any moment, and never cut short."""

from __future__ import annotations

import itertools
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.errors import AnswerError, CallCancelledError, ModelError, ModelUnavailableError
from llmrec.llm.base import Completion, Message, Usage
from llmrec.llm.cancellation import Cancellation
from llmrec.llm.openai import OpenAIModel
from llmrec.llm.openai_answers import ChatAnswer, read_answer
from llmrec.llm.openai_streams import Listener, events, read_stream
from llmrec.llm.stopping import cut_at_stop
from tests.llm.fake_server import (
    BREAK,
    PAUSE,
    FakeServer,
    Handler,
    Reply,
    chat,
    error,
    in_pieces,
    piece,
    streamed,
)
from tests.llm.test_openai import SCHEMA, EchoServer, constraining, ignoring, only_objects

CHAT = "/chat/completions"
QUESTION = [Message(role="user", content="Name a colour.")]
# A cancelled call ends within this, on a machine with other things to do.
SOON = 1.0


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def model(fake: FakeServer, slept: list[float]) -> Iterator[OpenAIModel]:
    model = OpenAIModel("tiny", base_url=fake.base_url, sleep=slept.append)
    yield model
    model.close()
    assert our_threads() == []


def our_threads() -> list[threading.Thread]:
    """The threads of calls, after they had a moment to end."""
    deadline = time.monotonic() + SOON
    while True:
        found = [thread for thread in threading.enumerate() if thread.name.startswith("llmrec")]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.01)


def generate(model: OpenAIModel, **options: Any) -> tuple[Completion, list[str]]:
    pieces: list[str] = []
    answer = model.generate(QUESTION, on_text=pieces.append, **options)
    assert "".join(pieces) == answer.text
    assert "" not in pieces
    return answer, pieces


@contextmanager
def cancelling_in_a_pause(fake: FakeServer, cancellation: Cancellation) -> Iterator[None]:
    """Cancel from another thread once the server pauses; the block must end soon after."""
    moment: list[float] = []

    def cancel() -> None:
        fake.paused.wait(10)
        time.sleep(0.05)
        moment.append(time.monotonic())
        cancellation.cancel()

    thread = threading.Thread(target=cancel)
    thread.start()
    yield
    assert time.monotonic() - moment[0] < SOON
    thread.join()


class TestAnswers:
    @pytest.mark.parametrize(
        ("reply", "options"),
        [
            (chat("blue, then red"), {}),
            (chat("blue, then red", finish_reason="length"), {"max_tokens": 4}),
            (chat("", finish_reason="content_filter"), {}),
            (chat("<think>red? no</think>\n\nblue\n"), {}),
            (chat(" <think>red? no, there is more to", finish_reason="length"), {}),
            (chat("  <thin as air> and blue"), {}),
            (chat("blue, then <think>red</think>\n\n"), {}),
            (chat("blue\n\nred"), {"stop": ["never", "\n\n"]}),
            (chat("blue and red", finish_reason="length"), {"stop": ["e a", "and"]}),
            (chat("blue", reasoning_content="Let me think", reasoning="so"), {}),
            (chat("蓝色,然后 красный 🎬 \u2028 \x85"), {}),
        ],
    )
    @pytest.mark.parametrize("size", [1, 3, 100])
    def test_a_streamed_answer_is_the_unstreamed_one(
        self, fake: FakeServer, model: OpenAIModel, reply: Reply, options: dict[str, Any], size: int
    ) -> None:
        reply.body["usage"] = {
            "prompt_tokens": 9,
            "completion_tokens": 7,
            "prompt_tokens_details": {"cached_tokens": 4},
        }
        fake.on(CHAT, in_pieces(reply, size))
        unstreamed = model.generate(QUESTION, **options)
        assert generate(model, **options)[0] == unstreamed
        assert model.generate(QUESTION, cancellation=Cancellation(), **options) == unstreamed
        assert [body.get("stream") for body in fake.bodies(CHAT)] == [None, True, True]
        assert fake.bodies(CHAT)[1]["stream_options"] == {"include_usage": True}
        assert model.usage == Usage(calls=3, prompt_tokens=15, completion_tokens=21)

    def test_pieces_come_as_the_server_sends_them(self, fake: FakeServer, model: OpenAIModel) -> None:
        fake.on(CHAT, streamed("blue", ", ", PAUSE, "then red"))
        pieces: list[str] = []

        def hear(text: str) -> None:
            pieces.append(text)
            if text == ", ":
                assert fake.paused.wait(10)
                fake.released.set()

        assert model.generate(QUESTION, on_text=hear).text == "blue, then red"
        assert pieces == ["blue", ", ", "then red"]

    def test_what_may_be_taken_back_waits(self, fake: FakeServer, model: OpenAIModel) -> None:
        fake.on(CHAT, streamed("<thi", "nk>red</", "think>\n", "\nblue", " EN", "D. E", "ND"))
        answer, pieces = generate(model, stop=["END"])
        assert answer.text == "blue "
        assert pieces == ["blue", " "]

    def test_a_piece_counts_as_a_token_where_the_server_does_not_count(
        self, fake: FakeServer, model: OpenAIModel
    ) -> None:
        fake.on(CHAT, streamed("blue", ", ", "red"))
        assert generate(model)[0].usage == model.usage == Usage(calls=1, completion_tokens=3)

    def test_a_refusal_is_an_answer_error(self, fake: FakeServer, model: OpenAIModel) -> None:
        fake.on(CHAT, streamed(piece(refusal="I cannot "), piece(refusal="help.")))
        with pytest.raises(AnswerError, match=r"I cannot help\."):
            generate(model)

    def test_parts_of_content_are_put_together(self, fake: FakeServer, model: OpenAIModel) -> None:
        fake.on(CHAT, streamed(piece([{"type": "text", "text": "bl"}, {"type": "text", "text": "ue"}])))
        assert generate(model)[0].text == "blue"

    @pytest.mark.parametrize(
        ("server", "rung"),
        [(constraining, "json_schema"), (only_objects, "json_object"), (ignoring, "prompted")],
    )
    def test_the_ladder_is_climbed_down_as_without(
        self, fake: FakeServer, model: OpenAIModel, server: Handler, rung: str
    ) -> None:
        fake.on(CHAT, in_pieces(server))
        answer, pieces = generate(model, schema=SCHEMA)
        assert answer.structured == rung
        assert answer.model_copy(update={"usage": Usage(calls=1)}) == model.generate(QUESTION, schema=SCHEMA)
        assert len(pieces) > 1

    def test_parameters_a_server_wants_otherwise_are_learned(
        self, fake: FakeServer, model: OpenAIModel
    ) -> None:
        def picky(body: dict[str, Any]) -> Reply:
            if "max_tokens" in body:
                return error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
            if "seed" in body:
                return error(400, "Unsupported value for this model.", param="seed")
            return streamed("bl", "ue")

        fake.on(CHAT, picky)
        assert generate(model)[1] == ["bl", "ue"]
        assert len(fake.requests) == 3


class TestServersThatStreamOtherwise:
    def test_one_that_does_not_count_tokens(
        self, fake: FakeServer, model: OpenAIModel, slept: list[float]
    ) -> None:
        def picky(body: dict[str, Any]) -> Reply:
            return (
                error(400, "Unrecognized request argument") if "stream_options" in body else streamed("blue")
            )

        fake.on(CHAT, picky)
        for _ in range(2):
            assert generate(model)[0].text == "blue"
        sent = [(body.get("stream"), "stream_options" in body) for body in fake.bodies(CHAT)]
        assert sent == [(True, True), (True, False), (True, False)]
        assert slept == []

    def test_one_that_does_not_stream_answers_in_one_piece(self, fake: FakeServer, tmp_path: Path) -> None:
        def picky(body: dict[str, Any]) -> Reply:
            return error(422, "cannot do that") if "stream" in body else chat("blue, red")

        fake.on(CHAT, picky)
        for asked in (3, 1):
            model = OpenAIModel("tiny", base_url=fake.base_url, cache_dir=tmp_path)
            assert generate(model)[1] == ["blue, red"]
            assert len(fake.requests) == asked
            fake.requests.clear()
            model.close()

    def test_one_that_takes_no_notice_answers_in_one_piece(
        self, fake: FakeServer, model: OpenAIModel
    ) -> None:
        fake.on(CHAT, chat("<think>red?</think>blue, red", usage={"completion_tokens": 3}))
        answer, pieces = generate(model)
        assert pieces == ["blue, red"]
        assert answer.usage == Usage(calls=1, completion_tokens=3)
        assert len(fake.requests) == 1

    def test_one_that_refuses_everything_is_not_thought_to_refuse_streams(
        self, fake: FakeServer, model: OpenAIModel
    ) -> None:
        fake.on(CHAT, error(400, "bad temperament"))
        with pytest.raises(ModelError, match="bad temperament"):
            generate(model)
        fake.on(CHAT, streamed("bl", "ue"))
        assert generate(model)[1] == ["bl", "ue"]
        asked = len(fake.requests)
        fake.on(CHAT, error(400, "bad temperament"))
        with pytest.raises(ModelError, match="bad temperament"):
            generate(model)
        assert len(fake.requests) == asked + 1

    @pytest.mark.parametrize(
        "content_type", ["text/plain", "application/json", "text/event-stream; charset=utf-8"]
    )
    def test_one_that_names_its_stream_otherwise(
        self, fake: FakeServer, model: OpenAIModel, content_type: str
    ) -> None:
        fake.on(CHAT, streamed("bl", "ue", headers={"Content-Type": content_type}))
        assert generate(model)[0].text == "blue"

    def test_one_with_another_style_of_events(self, fake: FakeServer, model: OpenAIModel) -> None:
        first = json.dumps(piece("蓝\u2028"), ensure_ascii=False).encode()
        second = json.dumps(piece("色", finish_reason="stop"), indent=1, ensure_ascii=False)
        raw = b": PROCESSING\r\n\r\nevent: message\r\nid: 1\r\ndata:" + first + b"\r\n\r\nevent: ping\n\n"
        raw += "".join(f"data: {line}\n" for line in second.splitlines()).encode() + b"\n"
        bytewise = [raw[place : place + 1] for place in range(len(raw))]
        fake.on(CHAT, Reply(parts=bytewise, chunked=False), Reply(parts=[raw, '{"choices": null}', "[DONE]"]))
        assert generate(model)[0].text == "蓝\u2028色"
        assert generate(model)[0].text == "蓝\u2028色"


class TestBrokenStreams:
    BROKEN = [
        pytest.param(streamed("blue", BREAK), id="the connection breaks"),
        pytest.param(streamed("blue", BREAK, chunked=False), id="it ends without a word"),
        pytest.param(streamed("blue", finish_reason=None), id="another request cut it off"),
        pytest.param(streamed("blue", {"error": {"message": "out of memory"}}), id="an error"),
        pytest.param(streamed("blue", PAUSE), id="nothing more comes"),
    ]

    @pytest.fixture
    def model(self, fake: FakeServer, slept: list[float]) -> Iterator[OpenAIModel]:
        model = OpenAIModel("tiny", base_url=fake.base_url, sleep=slept.append, timeout=0.3)
        yield model
        model.close()
        assert our_threads() == []

    @pytest.mark.parametrize("reply", BROKEN)
    def test_pieces_that_were_heard_are_not_said_again(
        self, fake: FakeServer, model: OpenAIModel, slept: list[float], reply: Reply
    ) -> None:
        fake.on(CHAT, reply)
        pieces: list[str] = []
        with pytest.raises(ModelUnavailableError, match="try again") as caught:
            model.generate(QUESTION, on_text=pieces.append)
        assert caught.value.retry
        assert fake.base_url in str(caught.value)
        assert (pieces, slept, len(fake.requests)) == (["blue"], [], 1)
        assert model.usage == Usage(calls=1, completion_tokens=1)

    @pytest.mark.parametrize("reply", BROKEN)
    def test_what_nobody_heard_is_asked_for_again_in_one_piece(
        self, fake: FakeServer, model: OpenAIModel, slept: list[float], reply: Reply
    ) -> None:
        fake.on(CHAT, reply, chat("green"))
        assert model.generate(QUESTION, cancellation=Cancellation()).text == "green"
        fake.on(CHAT, reply, chat("green"))
        assert generate(model, stop=["blues"])[1] == ["green"]
        assert [body.get("stream") for body in fake.bodies(CHAT)] == [True, None] * 2
        assert len(slept) == 2

    def test_it_is_not_asked_for_again_for_ever(
        self, fake: FakeServer, model: OpenAIModel, slept: list[float]
    ) -> None:
        fake.on(CHAT, streamed(BREAK), error(503, "starting"))
        with pytest.raises(ModelUnavailableError, match="starting"):
            generate(model)
        assert len(fake.requests) == len(slept) + 1 == 4

    def test_an_error_is_repeated(self, fake: FakeServer) -> None:
        fake.on(CHAT, streamed("blue", {"error": {"message": "out of memory", "code": 500}}))
        model = OpenAIModel("tiny", base_url=fake.base_url, max_attempts=1)
        with pytest.raises(ModelUnavailableError, match="out of memory"):
            model.generate(QUESTION, cancellation=Cancellation())
        model.close()

    def test_an_answer_that_said_why_it_ended_is_whole(self, fake: FakeServer, model: OpenAIModel) -> None:
        fake.on(CHAT, streamed("blue", piece(finish_reason="length"), BREAK))
        answer, _ = generate(model)
        assert (answer.text, answer.finish_reason) == ("blue", "length")

    def test_what_is_no_part_of_an_answer(self, fake: FakeServer, model: OpenAIModel) -> None:
        for part in ("<html>", "3", '{"choices": 3}'):
            fake.on(CHAT, Reply(parts=[part]))
            with pytest.raises(ModelError, match="check the base URL"):
                generate(model)


class TestCancelling:
    def test_in_the_middle_of_an_answer(self, fake: FakeServer, model: OpenAIModel) -> None:
        fake.on(CHAT, streamed("blue", ", ", "th", PAUSE, "en red"))
        cancellation, pieces = Cancellation(), list[str]()
        with cancelling_in_a_pause(fake, cancellation):
            answer = model.generate(QUESTION, stop=["then"], on_text=pieces.append, cancellation=cancellation)
        assert (answer.text, answer.finish_reason) == ("blue, ", "cancelled")
        assert pieces == ["blue", ", "]
        assert answer.usage == model.usage == Usage(calls=1, completion_tokens=3)
        assert fake.gone.wait(SOON)
        fake.on(CHAT, streamed("blue"))
        assert generate(model, cancellation=Cancellation())[0].text == "blue"

    def test_without_anyone_who_hears_it(self, fake: FakeServer, model: OpenAIModel) -> None:
        fake.on(CHAT, streamed("<think>red?", "</think>", "blue", PAUSE))
        cancellation = Cancellation()
        with cancelling_in_a_pause(fake, cancellation):
            answer = model.generate(QUESTION, cancellation=cancellation)
        assert (answer.text, answer.finish_reason) == ("blue", "cancelled")
        assert fake.gone.wait(SOON)

    @pytest.mark.parametrize("reply", [streamed("blue", stalls=True), streamed(PAUSE, "blue")])
    def test_before_the_first_piece(self, fake: FakeServer, model: OpenAIModel, reply: Reply) -> None:
        fake.on(CHAT, reply)
        cancellation = Cancellation()
        with cancelling_in_a_pause(fake, cancellation):
            answer = model.generate(QUESTION, cancellation=cancellation)
        assert answer == Completion(text="", finish_reason="cancelled")
        assert fake.gone.wait(SOON)
        assert len(fake.requests) == 1

    def test_a_server_that_does_not_stream(self, fake: FakeServer, model: OpenAIModel) -> None:
        fake.on(CHAT, error(400), error(400), chat("blue"), Reply(chat("red").body, stalls=True))
        assert generate(model)[1] == ["blue"]
        cancellation = Cancellation()
        with cancelling_in_a_pause(fake, cancellation):
            assert model.generate(QUESTION, cancellation=cancellation).finish_reason == "cancelled"
        assert fake.gone.wait(SOON)

    def test_while_it_waits_for_the_next_attempt(self, fake: FakeServer) -> None:
        asked = threading.Event()

        def busy(body: dict[str, Any]) -> Reply:
            asked.set()
            return error(503, headers={"Retry-After": "30"})

        fake.on(CHAT, busy)
        model = OpenAIModel("tiny", base_url=fake.base_url)
        cancellation = Cancellation()
        timer = threading.Timer(0.3, cancellation.cancel)
        timer.start()
        begin = time.monotonic()
        answer = model.generate(QUESTION, cancellation=cancellation)
        assert time.monotonic() - begin < 0.3 + SOON
        assert answer == Completion(text="", finish_reason="cancelled")
        assert asked.is_set()
        assert len(fake.requests) == 1
        assert our_threads() == []
        model.close()

    def test_while_the_server_is_found_out(self, fake: FakeServer, model: OpenAIModel) -> None:
        fake.on(CHAT, Reply(chat("blue").body, stalls=True))
        cancellation = Cancellation()
        with cancelling_in_a_pause(fake, cancellation):
            answer = model.generate(QUESTION, schema=SCHEMA, cancellation=cancellation)
        assert answer.finish_reason == "cancelled"
        fake.on(CHAT, in_pieces(constraining))
        assert generate(model, schema=SCHEMA)[0].structured == "json_schema"

    def test_while_the_address_is_looked_up(
        self, fake: FakeServer, model: OpenAIModel, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Nothing ends this from outside: the thread is left to itself, and the call returns.
        look_up = socket.getaddrinfo

        def slow(*args: Any, **options: Any) -> Any:
            fake.paused.set()
            fake.released.wait(10)
            return look_up(*args, **options)

        monkeypatch.setattr(socket, "getaddrinfo", slow)
        cancellation = Cancellation()
        with cancelling_in_a_pause(fake, cancellation):
            assert model.generate(QUESTION, cancellation=cancellation).finish_reason == "cancelled"
        assert our_threads() != []
        fake.released.set()
        assert our_threads() == []
        assert [path for path, _ in fake.requests] == []

    def test_other_calls_go_on(self, fake: FakeServer, model: OpenAIModel) -> None:
        fake.on(CHAT, streamed("blue", PAUSE, ", red"))
        answers: list[Completion] = []
        other = threading.Thread(
            target=lambda: answers.append(model.generate(QUESTION, cancellation=Cancellation()))
        )
        other.start()
        fake.paused.wait(10)
        fake.paused.clear()
        cancellation = Cancellation()
        with cancelling_in_a_pause(fake, cancellation):
            model.generate(QUESTION, cancellation=cancellation)
        fake.released.set()
        other.join(10)
        assert [answer.text for answer in answers] == ["blue, red"]

    def test_what_on_text_raises_closes_the_connection(self, fake: FakeServer, model: OpenAIModel) -> None:
        fake.on(CHAT, streamed("blue", PAUSE))

        def hear(text: str) -> None:
            # Errors that the client would take for its own.
            raise RuntimeError("enough") from ConnectionError()

        with pytest.raises(RuntimeError, match="enough"):
            model.generate(QUESTION, on_text=hear)
        assert fake.gone.wait(SOON)
        assert len(fake.requests) == 1

    def test_closing_the_model_ends_its_calls(self, fake: FakeServer, model: OpenAIModel) -> None:
        fake.on(CHAT, streamed("blue", PAUSE))

        def close() -> None:
            fake.paused.wait(10)
            model.close()

        thread = threading.Thread(target=close)
        thread.start()
        with pytest.raises(ModelError, match="was closed"):
            model.generate(QUESTION, on_text=lambda _: None)
        thread.join()
        assert fake.gone.wait(SOON)


class TestCancellingScores:
    def test_between_two_continuations(self, fake: FakeServer, model: OpenAIModel) -> None:
        echo, cancellation = EchoServer(), Cancellation()

        def cancelled_by(body: dict[str, Any]) -> Reply:
            if body["prompt"].endswith(" red"):
                cancellation.cancel()
            return echo(body)

        fake.on("/completions", cancelled_by)
        with pytest.raises(CallCancelledError):
            model.score("a red fox and a", [" blue", " red", " green"], cancellation=cancellation)
        asked = [body["prompt"] for body in fake.bodies("/completions")]
        assert asked[-1] == "a red fox and a red"
        assert [score.tokens for score in model.score("a red fox and a", [" green"])] == [1]

    @pytest.mark.parametrize("at_once", [1, 3])
    def test_while_the_server_is_silent(self, fake: FakeServer, at_once: int) -> None:
        echo = EchoServer()
        model = OpenAIModel("tiny", base_url=fake.base_url, max_concurrency=at_once)

        def slow(body: dict[str, Any]) -> Reply:
            reply = echo(body)
            reply.stalls = body["prompt"].endswith("owl")
            return reply

        fake.on("/completions", slow)
        cancellation = Cancellation()
        continuations = [" red", " owl", " green", " owl"]
        with cancelling_in_a_pause(fake, cancellation), pytest.raises(CallCancelledError):
            model.score("a red fox and a", continuations, cancellation=cancellation)
        assert fake.gone.wait(SOON)
        assert our_threads() == []
        model.close()

    def test_one_connection_serves_many_requests(self, fake: FakeServer, model: OpenAIModel) -> None:
        fake.on("/completions", EchoServer())
        cancellation = Cancellation()
        expected = model.score("a red fox and a", [" red", " blue"])
        fake.clients.clear()
        for _ in range(2):
            scores = model.score("a red fox and a", [" red", " blue"], cancellation=cancellation)
            assert scores == expected
        assert len(fake.clients) == 4
        assert len(set(fake.clients)) == 1


TEXTS = st.text(st.sampled_from("<think>/ \nab蓝"), max_size=40) | st.builds(
    lambda thoughts, gap, rest: f"{gap}<think>{thoughts}</think>{gap}{rest}",
    st.text(st.sampled_from("<think>/ \nab"), max_size=12),
    st.sampled_from(["", "\n", " \n\n"]),
    st.text(st.sampled_from("<think>/ \nab"), max_size=20),
)


@given(TEXTS, st.lists(st.text(st.sampled_from("ab<\n"), max_size=3), max_size=3), st.data())
def test_pieces_are_certain_and_together_the_answer(text: str, stops: list[str], data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(0, len(text)), max_size=12)) | {0, len(text)})
    parts = [text[begin:end] for begin, end in itertools.pairwise(cuts)]
    lines = [f"data: {json.dumps(piece(part))}\n\n" for part in parts]
    raw = "".join([*lines, f"data: {json.dumps(piece(finish_reason='stop'))}\n\n"]).encode()
    middle = data.draw(st.integers(0, len(raw)))
    pieces: list[str] = []
    listener = Listener(stops)
    listener.hand_on = pieces.append
    answer = read_answer(ChatAnswer, read_stream([raw[:middle], raw[middle:]], listener, "url"), "url")
    whole = cut_at_stop(answer.text, stops)
    assert whole.startswith("".join(pieces))
    listener.finish(whole)
    assert "".join(pieces) == listener.said == whole
    assert answer.text == read_answer(ChatAnswer, chat(text).body, "url").text


def test_events_end_with_the_stream_at_the_latest() -> None:
    assert list(events([b"data: a\n", b"data: b\n\n\n\nda", b"ta:c"])) == ["a\nb", "c"]
    assert list(events([])) == []


@pytest.mark.server
class TestRealServer:
    """Against llama-cpp-python's server, which cuts a streamed answer off when another request comes."""

    def test_a_streamed_answer_is_the_unstreamed_one(self, openai_server: str) -> None:
        model = OpenAIModel("smollm2", base_url=openai_server)
        unstreamed = model.generate(QUESTION, max_tokens=30)
        answer, pieces = generate(model, max_tokens=30)
        assert answer.model_copy(update={"usage": unstreamed.usage}) == unstreamed
        assert len(pieces) > 5
        assert 5 < answer.usage.completion_tokens <= 30
        model.close()

    def test_an_answer_that_was_cut_off_is_never_taken_for_a_whole_one(self, openai_server: str) -> None:
        model = OpenAIModel("smollm2", base_url=openai_server)
        whole = model.generate(QUESTION, max_tokens=60).text
        begun = threading.Event()
        others: list[Completion] = []

        def ask_too() -> None:
            begun.wait(60)
            others.append(model.generate(QUESTION, max_tokens=60, cancellation=Cancellation()))

        thread = threading.Thread(target=ask_too)
        thread.start()
        with pytest.raises(ModelUnavailableError, match="before it was complete"):
            model.generate(QUESTION, max_tokens=60, on_text=lambda _: begun.set())
        thread.join()
        assert [answer.text for answer in others] == [whole]
        model.close()
