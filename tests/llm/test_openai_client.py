"""What can go wrong between here and a server, and what is said and done about it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

import pytest

from llmrec.errors import ContextLengthError, ModelError, ModelUnavailableError
from llmrec.llm.base import Message
from llmrec.llm.openai import OpenAIModel
from tests.llm.fake_server import FakeServer, Reply, chat, error

QUESTION = [Message(role="user", content="Name a colour.")]


@pytest.fixture
def slept() -> list[float]:
    return []


@pytest.fixture
def ask(fake: FakeServer, slept: list[float]) -> Callable[..., str]:
    """Ask the fake server a question, once."""

    def ask_once(**options: Any) -> str:
        model = OpenAIModel("tiny", **{"base_url": fake.base_url, "sleep": slept.append, **options})
        try:
            return model.generate(QUESTION).text
        finally:
            model.close()

    return ask_once


class TestWaiting:
    def test_a_server_that_asks_to_wait_is_waited_for(
        self, fake: FakeServer, ask: Callable[..., str], slept: list[float]
    ) -> None:
        fake.on(
            "/chat/completions",
            error(429, "slow down", headers={"Retry-After": "7"}),
            error(503, "starting", headers={"Retry-After": "0.5"}),
            chat("blue"),
        )
        assert ask() == "blue"
        assert slept == [7.0, 0.5]

    def test_a_date_to_wait_for_is_understood(
        self, fake: FakeServer, ask: Callable[..., str], slept: list[float]
    ) -> None:
        moment = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=20), usegmt=True)
        fake.on("/chat/completions", error(429, headers={"Retry-After": moment}), chat("blue"))
        assert ask() == "blue"
        assert 15 < slept[0] <= 20

    def test_a_server_that_asks_to_wait_too_long_is_not_waited_for(
        self, fake: FakeServer, ask: Callable[..., str], slept: list[float]
    ) -> None:
        fake.on("/chat/completions", error(429, "daily limit", headers={"Retry-After": "3600"}))
        with pytest.raises(ModelUnavailableError, match="asks to wait 3600 s"):
            ask()
        assert (slept, len(fake.requests)) == ([], 1)

    def test_waits_grow_and_end(self, fake: FakeServer, ask: Callable[..., str], slept: list[float]) -> None:
        fake.on("/chat/completions", error(500, "out of memory"))
        with pytest.raises(ModelUnavailableError, match=r"status 500 \(out of memory\)") as caught:
            ask(max_attempts=4)
        assert caught.value.retry
        assert fake.base_url in str(caught.value)
        assert len(fake.requests) == 4
        assert len(slept) == 3
        for wait, least in zip(slept, (0.5, 1.0, 2.0), strict=True):
            assert least <= wait <= least + 0.5

    @pytest.mark.parametrize("status", [408, 409, 429, 502, 503, 504])
    def test_what_passes_is_asked_again(self, fake: FakeServer, ask: Callable[..., str], status: int) -> None:
        fake.on("/chat/completions", error(status), chat("blue"))
        assert ask() == "blue"

    @pytest.mark.parametrize(
        "reply",
        [
            error(400, "bad temperament"),
            error(422),
            error(401),
            error(403),
            error(429, code="insufficient_quota"),
        ],
    )
    def test_what_does_not_pass_is_not(
        self, fake: FakeServer, ask: Callable[..., str], slept: list[float], reply: Reply
    ) -> None:
        fake.on("/chat/completions", reply)
        with pytest.raises(ModelError) as caught:
            ask()
        assert not caught.value.retry
        assert (slept, len(fake.requests)) == ([], 1)


class TestSentences:
    def test_a_wrong_key(self, fake: FakeServer, ask: Callable[..., str]) -> None:
        fake.on("/chat/completions", error(401, "Incorrect API key provided: abc-secret"))
        with pytest.raises(ModelError, match="OPENAI_API_KEY") as caught:
            ask(api_key="abc-secret")
        assert "abc-secret" not in str(caught.value)

    def test_an_unknown_model_names_a_few_that_are_there(
        self, fake: FakeServer, ask: Callable[..., str]
    ) -> None:
        fake.on("/chat/completions", error(404, "no such model"))
        fake.on("/models", Reply({"data": [{"id": f"model-{number}"} for number in range(9)]}))
        with pytest.raises(ModelError, match=r"has no model 'tiny': choose one of model-0, .*model-4, …$"):
            ask()

    def test_an_unknown_model_by_code(self, fake: FakeServer, ask: Callable[..., str]) -> None:
        fake.on("/chat/completions", error(400, "The model does not exist", code="model_not_found"))
        fake.on("/models", Reply({"data": [{"id": "small"}]}))
        with pytest.raises(ModelError, match=r"choose one of small$"):
            ask()

    def test_a_wrong_address_on_a_server(self, ask: Callable[..., str]) -> None:
        with pytest.raises(ModelError, match=r"no /chat/completions for 'tiny'.*usually ends in /v1"):
            ask()

    def test_nobody_listens(self, ask: Callable[..., str], slept: list[float]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}/v1"
        with pytest.raises(ModelUnavailableError, match="start the server, or check the address") as caught:
            ask(base_url=url, max_attempts=3)
        assert url in str(caught.value)
        assert caught.value.retry
        assert len(slept) == 2

    def test_no_answer_in_time(self, fake: FakeServer, ask: Callable[..., str]) -> None:
        def slow(body: dict[str, Any]) -> Reply:
            time.sleep(0.4)
            return chat("blue")

        fake.on("/chat/completions", slow)
        with pytest.raises(
            ModelUnavailableError, match=r"no answer within 0\.1 s, 2 times: raise the timeout"
        ):
            ask(timeout=0.1, max_attempts=2)

    @pytest.mark.parametrize(
        "reply",
        [
            pytest.param(Reply("<html>Welcome to nginx</html>"), id="a page"),
            pytest.param(Reply([1, 2]), id="a list"),
            pytest.param(Reply(None), id="null"),
            pytest.param(Reply({}), id="an empty object"),
            pytest.param(Reply({"choices": []}), id="no choices"),
            pytest.param(Reply({"choices": [{}]}), id="an empty choice"),
            pytest.param(Reply({"choices": [{"message": {"content": 3}}]}), id="a number for a text"),
        ],
    )
    def test_garbage(self, fake: FakeServer, ask: Callable[..., str], reply: Reply) -> None:
        fake.on("/chat/completions", reply)
        with pytest.raises(ModelError, match="check"):
            ask()
        assert len(fake.requests) == 1

    def test_an_error_that_says_200(self, fake: FakeServer, ask: Callable[..., str]) -> None:
        fake.on("/chat/completions", Reply({"error": {"message": "provider overloaded", "code": 502}}))
        with pytest.raises(ModelError, match="answered with an error: provider overloaded"):
            ask()

    @pytest.mark.parametrize(
        ("reply", "tokens", "limit"),
        [
            (
                error(
                    400,
                    "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens "
                    "(4900 in the messages, 100 in the completion).",
                ),
                5000,
                4096,
            ),
            (
                error(
                    400,
                    "This model's maximum context length is 8192 tokens. However, your messages resulted in "
                    "9000 tokens.",
                    code="context_length_exceeded",
                ),
                9000,
                8192,
            ),
            (
                error(400, "request (5000 tokens) exceeds the available context size (4096 tokens)"),
                5000,
                4096,
            ),
            (error(500, "Requested tokens (3003) exceed context window of 2048"), 3003, 2048),
            (error(400, "prompt is too long: 210000 tokens > 200000 maximum"), None, None),
            (error(400, "no", code="context_length_exceeded"), None, None),
        ],
    )
    def test_a_text_too_long(
        self, fake: FakeServer, ask: Callable[..., str], reply: Reply, tokens: int | None, limit: int | None
    ) -> None:
        fake.on("/chat/completions", reply)
        with pytest.raises(ContextLengthError, match="shorter history") as caught:
            ask()
        assert (caught.value.tokens, caught.value.limit) == (tokens, limit)
        assert len(fake.requests) == 1


class TestAddressAndKey:
    @pytest.mark.parametrize(
        "url", ["localhost:8000", "ftp://a/v1", "http://", "http://a:b/v1", "http://[a/v1", "v1"]
    )
    def test_no_address(self, url: str) -> None:
        with pytest.raises(ModelError, match="write it like http://localhost:8000/v1"):
            OpenAIModel("tiny", base_url=url)

    def test_openai_needs_a_key(self) -> None:
        with pytest.raises(ModelError, match="set OPENAI_API_KEY or give api_key"):
            OpenAIModel("gpt")

    def test_other_servers_need_none(self, fake: FakeServer, ask: Callable[..., str]) -> None:
        fake.on("/chat/completions", chat("blue"))
        assert ask(base_url=fake.base_url + "/") == "blue"
        assert fake.keys == ["Bearer no-key"]

    def test_address_and_key_from_the_environment(
        self, fake: FakeServer, ask: Callable[..., str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("OPENAI_BASE_URL", fake.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "from-environment\n")
        fake.on("/chat/completions", chat("blue"))
        assert ask(base_url=None) == "blue"
        assert fake.keys == ["Bearer from-environment"]

    def test_a_key_that_is_none(self) -> None:
        with pytest.raises(ModelError, match="copy it again") as caught:
            OpenAIModel("tiny", base_url="http://localhost:1/v1", api_key="schlüssel")
        assert "schlüssel" not in str(caught.value)

    def test_a_password_in_the_address_is_not_repeated(
        self, ask: Callable[..., str], fake: FakeServer
    ) -> None:
        fake.on("/chat/completions", error(400, "bad"))
        with pytest.raises(ModelError) as caught:
            ask(base_url=fake.base_url.replace("//", "//me:hidden@"))
        assert "hidden" not in str(caught.value)
        assert "127.0.0.1" in str(caught.value)

    def test_models_on_different_servers_are_different(self) -> None:
        models = [
            OpenAIModel(name, base_url=f"http://localhost:{port}/v1")
            for name, port in (("a", 1), ("a", 2), ("b", 1))
        ]
        again = OpenAIModel("a", base_url="http://localhost:1/v1/")
        assert len({model.fingerprint for model in models}) == 3
        assert again.fingerprint == models[0].fingerprint
        for model in [*models, again]:
            model.close()

    def test_closed_is_closed(self, fake: FakeServer) -> None:
        fake.on("/chat/completions", chat("blue"))
        model = OpenAIModel("tiny", base_url=fake.base_url)
        model.close()
        model.close()
        with pytest.raises(ModelError, match="was closed"):
            model.generate(QUESTION)
        with pytest.raises(ModelError, match="was closed"):
            model.score("a", [])
        with pytest.raises(ModelError, match="was closed"):
            _ = model.capabilities
        assert fake.requests == []
