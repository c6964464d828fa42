"""A model behind an OpenAI-compatible server: answers, schemas, scores, and what is learned of the server."""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llmrec.errors import AnswerError, ModelError
from llmrec.llm.base import LanguageModel, Message, Usage
from llmrec.llm.openai import OpenAIModel
from llmrec.llm.openai_probes import load_probes
from tests.llm.contract import LanguageModelContract
from tests.llm.fake_server import FakeServer, Reply, chat, error

QUESTION = [Message(role="user", content="Name a colour.")]
SCHEMA = {
    "type": "object",
    "properties": {"colour": {"type": "string", "minLength": 1}},
    "required": ["colour"],
}


@pytest.fixture
def open_model(fake: FakeServer) -> Iterator[Callable[..., OpenAIModel]]:
    opened: list[OpenAIModel] = []

    def open_one(name: str = "tiny", **options: Any) -> OpenAIModel:
        model = OpenAIModel(name, **{"base_url": fake.base_url, "sleep": lambda _: None, **options})
        opened.append(model)
        return model

    yield open_one
    for model in opened:
        model.close()


def constraining(body: dict[str, Any]) -> Reply:
    """A server that holds answers to a JSON schema, and a model that knows the answers."""
    form = body.get("response_format", {})
    if form.get("type") == "json_schema":
        properties = form["json_schema"]["schema"]["properties"]
        if "number" in properties:
            return chat(json.dumps({"number": right_number(body)}))
        name, part = next(iter(properties.items()))
        return chat(json.dumps({name: part.get("enum", ["blue"])[0]}))
    return chat('{"hello": "you"}' if form else "blue")


def right_number(body: dict[str, Any]) -> int:
    text = body["messages"][0]["content"]
    return next(item.number for item in load_probes().open_questions if item.question in text)


def ignoring(body: dict[str, Any]) -> Reply:
    """A server that takes any response format and honours none, with a model that likes the number 2."""
    return chat(
        '```json\n{"number": 2}\n```' if "number" in body["messages"][0]["content"] else "Blue, I think."
    )


def only_objects(body: dict[str, Any]) -> Reply:
    """A server that knows json_object only, and says so as llama-cpp-python's does."""
    form = body.get("response_format", {}).get("type")
    if form == "json_schema":
        return error(500, "1 validation error: 'response_format', Input should be 'text' or 'json_object'")
    return chat('{"colour": "blue"}' if form else "blue")


class TestAnswers:
    def test_a_question_is_sent_as_it_was_asked(
        self, fake: FakeServer, open_model: Callable[..., OpenAIModel]
    ) -> None:
        usage = {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
        fake.on("/chat/completions", chat("blue", usage=usage))
        model = open_model(api_key="secret-key")
        answer = model.generate(QUESTION, max_tokens=7, temperature=0.5, seed=3, stop=["\n"])
        assert (answer.text, answer.finish_reason, answer.structured) == ("blue", "stop", "none")
        assert answer.usage == model.usage == Usage(calls=1, prompt_tokens=5, completion_tokens=2)
        assert fake.bodies("/chat/completions") == [
            {
                "model": "tiny",
                "messages": [{"role": "user", "content": "Name a colour."}],
                "max_tokens": 7,
                "temperature": 0.5,
                "seed": 3,
                "stop": ["\n"],
            }
        ]
        assert fake.keys == ["Bearer secret-key"]

    @pytest.mark.parametrize(
        ("said", "meant"),
        [
            ("stop", "stop"),
            ("length", "length"),
            ("content_filter", "content_filter"),
            ("eos", "stop"),
            (None, "stop"),
        ],
    )
    def test_finish_reasons(
        self, fake: FakeServer, open_model: Callable[..., OpenAIModel], said: str | None, meant: str
    ) -> None:
        fake.on("/chat/completions", chat("blue", finish_reason=said))
        assert open_model().generate(QUESTION).finish_reason == meant

    @pytest.mark.parametrize(
        ("reply", "text"),
        [
            (chat(None, finish_reason="length", reasoning_content="Let me think"), ""),
            (chat("blue", reasoning_content="Let me think", reasoning="so"), "blue"),
            (chat("<think>red? no</think>\n\nblue"), "blue"),
            (chat("<think>red? no, I must", finish_reason="length"), ""),
            (chat("\nblue, <think>\n"), "\nblue, <think>\n"),
            (Reply({"choices": [{"message": {"content": [{"type": "text", "text": "blue"}]}}]}), "blue"),
        ],
    )
    def test_shapes_of_content(
        self, fake: FakeServer, open_model: Callable[..., OpenAIModel], reply: Reply, text: str
    ) -> None:
        fake.on("/chat/completions", reply)
        assert open_model().generate(QUESTION).text == text

    def test_an_answer_cut_at_a_stop_string_is_whole_for_who_asked(
        self, fake: FakeServer, open_model: Callable[..., OpenAIModel]
    ) -> None:
        fake.on("/chat/completions", chat("blue\nred\n", finish_reason="length"))
        answer = open_model().generate(QUESTION, stop=["\n"])
        assert (answer.text, answer.finish_reason) == ("blue", "stop")
        assert open_model().generate(QUESTION, stop=["green"]).finish_reason == "length"

    def test_usage_may_be_absent(self, fake: FakeServer, open_model: Callable[..., OpenAIModel]) -> None:
        fake.on("/chat/completions", chat("blue"))
        model = open_model()
        model.generate(QUESTION)
        assert model.usage == Usage(calls=1)

    def test_a_refusal_is_an_answer_error(
        self, fake: FakeServer, open_model: Callable[..., OpenAIModel]
    ) -> None:
        fake.on("/chat/completions", chat(None, refusal="I cannot help with that."))
        with pytest.raises(AnswerError, match="I cannot help") as caught:
            open_model().generate(QUESTION)
        assert caught.value.answers == ("I cannot help with that.",)

    def test_parameters_a_server_wants_otherwise_are_learned_once(
        self, fake: FakeServer, open_model: Callable[..., OpenAIModel]
    ) -> None:
        def reasoning_server(body: dict[str, Any]) -> Reply:
            if "max_tokens" in body:
                return error(400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.")
            for name in ("temperature", "seed", "stop"):
                if name in body:
                    return error(400, "Unsupported value for this model.", param=name)
            return chat("blue, then\n\nred")

        fake.on("/chat/completions", reasoning_server)
        model = open_model()
        assert model.generate(QUESTION, max_tokens=5, stop=["\n\n"]).text == "blue, then"
        assert len(fake.requests) == 5
        assert model.generate(QUESTION, max_tokens=5).text == "blue, then\n\nred"
        assert len(fake.requests) == 6
        assert fake.requests[-1][1].keys() == {"model", "messages", "max_completion_tokens"}


class TestSchemas:
    def test_a_server_that_holds_to_schemas_gets_a_strict_one(
        self, fake: FakeServer, open_model: Callable[..., OpenAIModel]
    ) -> None:
        fake.on("/chat/completions", constraining)
        answer = open_model().generate(QUESTION, schema=SCHEMA)
        assert (answer.text, answer.structured) == ('{"colour": "blue"}', "json_schema")
        sent = fake.bodies("/chat/completions")[-1]
        assert sent["messages"] == [{"role": "user", "content": "Name a colour."}]
        assert sent["response_format"]["json_schema"]["strict"] is True
        assert sent["response_format"]["json_schema"]["schema"] == {
            "type": "object",
            "properties": {"colour": {"type": "string"}},
            "required": ["colour"],
            "additionalProperties": False,
        }

    @pytest.mark.parametrize(("server", "rung"), [(ignoring, "prompted"), (only_objects, "json_object")])
    def test_a_server_that_does_not_is_found_out(
        self,
        fake: FakeServer,
        open_model: Callable[..., OpenAIModel],
        server: Callable[[dict[str, Any]], Reply],
        rung: str,
    ) -> None:
        fake.on("/chat/completions", server)
        slept: list[float] = []
        model = open_model(sleep=slept.append)
        assert model.generate(QUESTION, schema=SCHEMA).structured == rung
        sent = fake.bodies("/chat/completions")[-1]
        assert json.dumps(SCHEMA, separators=(",", ":")) in sent["messages"][0]["content"]
        assert sent["messages"][0]["content"].startswith("Name a colour.")
        assert sent.get("response_format", {}).get("type") == (
            "json_object" if rung == "json_object" else None
        )
        asked = len(fake.requests)
        assert model.generate(QUESTION, schema=SCHEMA).structured == rung
        assert len(fake.requests) == asked + 1
        assert slept == []

    def test_a_schema_that_is_shown_already_is_not_shown_again(
        self, fake: FakeServer, open_model: Callable[..., OpenAIModel]
    ) -> None:
        fake.on("/chat/completions", ignoring)
        question = "Name a colour as " + json.dumps(SCHEMA, separators=(",", ":"))
        open_model().generate([Message(role="user", content=question)], schema=SCHEMA)
        assert fake.requests[-1][1]["messages"] == [{"role": "user", "content": question}]

    def test_one_refused_schema_does_not_spoil_the_others(
        self, fake: FakeServer, open_model: Callable[..., OpenAIModel]
    ) -> None:
        def picky(body: dict[str, Any]) -> Reply:
            if '"shade"' in json.dumps(body.get("response_format", {})):
                return error(400, "Invalid schema for response_format 'answer'")
            return constraining(body)

        fake.on("/chat/completions", picky)
        model = open_model()
        shade = {"type": "object", "properties": {"shade": {"type": "string"}}}
        mapping = {"type": "object", "additionalProperties": {"type": "number"}}
        assert model.generate(QUESTION, schema=shade).structured == "json_object"
        assert model.generate(QUESTION, schema=mapping).structured == "json_object"
        assert model.generate(QUESTION, schema=SCHEMA).structured == "json_schema"
        asked = len(fake.requests)
        assert model.generate(QUESTION, schema=shade).structured == "json_object"
        assert len(fake.requests) == asked + 1


class TestCapabilities:
    def test_a_capable_server(self, fake: FakeServer, open_model: Callable[..., OpenAIModel]) -> None:
        fake.on("/chat/completions", constraining)
        fake.on(
            "/models",
            Reply({"data": [{"id": "other", "max_model_len": 9}, {"id": "tiny", "max_model_len": 4096}]}),
        )
        capabilities = open_model().capabilities
        assert capabilities.generate
        assert capabilities.structured == "json_schema"
        assert capabilities.open_answers
        assert capabilities.context_length == 4096
        assert not capabilities.score

    def test_a_model_that_always_answers_alike_is_not_trusted(
        self, fake: FakeServer, open_model: Callable[..., OpenAIModel]
    ) -> None:
        fake.on("/chat/completions", ignoring)
        capabilities = open_model().capabilities
        assert (capabilities.structured, capabilities.open_answers) == ("prompted", False)
        assert capabilities.context_length is None

    def test_a_model_that_thinks_in_its_answers_gets_the_room_for_it(
        self, fake: FakeServer, open_model: Callable[..., OpenAIModel]
    ) -> None:
        def thinking(body: dict[str, Any]) -> Reply:
            reply = constraining(body)
            if body["max_tokens"] < 1000:
                return chat("<think>Let me see, the first", finish_reason="length")
            (choice,) = reply.body["choices"]
            return chat("<think>Let me see</think>\n" + choice["message"]["content"])

        fake.on("/chat/completions", thinking)
        capabilities = open_model().capabilities
        assert (capabilities.structured, capabilities.open_answers) == ("json_schema", True)

    def test_one_wrong_answer_is_enough(
        self, fake: FakeServer, open_model: Callable[..., OpenAIModel]
    ) -> None:
        last = load_probes().open_questions[-1]

        def nearly(body: dict[str, Any]) -> Reply:
            return (
                chat('{"number": 3}')
                if last.question in body["messages"][0]["content"]
                else constraining(body)
            )

        fake.on("/chat/completions", nearly)
        assert not open_model().capabilities.open_answers

    def test_the_right_answers_stand_in_different_places(self) -> None:
        numbers = [item.number for item in load_probes().open_questions]
        assert len(set(numbers)) == len(numbers) >= 3

    def test_a_server_that_only_completes(
        self, fake: FakeServer, open_model: Callable[..., OpenAIModel]
    ) -> None:
        fake.on("/completions", EchoServer())
        fake.on("/models", Reply({"data": [{"id": "tiny"}]}))
        capabilities = open_model().capabilities
        assert (capabilities.score, capabilities.generate, capabilities.structured) == (True, False, "none")
        with pytest.raises(ModelError, match="no /chat/completions"):
            open_model().generate(QUESTION)

    def test_what_was_found_is_remembered_on_disk(
        self, fake: FakeServer, open_model: Callable[..., OpenAIModel], tmp_path: Path
    ) -> None:
        fake.on("/chat/completions", constraining)
        fake.on("/completions", EchoServer())
        first = open_model(cache_dir=tmp_path).capabilities
        fake.requests.clear()
        again = open_model(cache_dir=tmp_path)
        assert again.capabilities == first
        assert fake.requests == []
        assert [path.suffix for path in (tmp_path / "servers").iterdir()] == [".json"]
        assert open_model("other", cache_dir=tmp_path).capabilities == first
        assert fake.requests != []

    @pytest.mark.parametrize("spoil", ["damaged", "old", "other probes"])
    def test_a_memory_that_cannot_be_trusted_is_made_anew(
        self, fake: FakeServer, open_model: Callable[..., OpenAIModel], tmp_path: Path, spoil: str
    ) -> None:
        fake.on("/chat/completions", constraining)
        first = open_model(cache_dir=tmp_path).capabilities
        (file,) = (tmp_path / "servers").iterdir()
        known = json.loads(file.read_text())
        changes = {"old": {"checked": time.time() - 1e6}, "other probes": {"probes": "0"}}.get(spoil)
        file.write_text(json.dumps({**known, **changes}) if changes else "{")
        fake.requests.clear()
        assert open_model(cache_dir=tmp_path).capabilities == first
        assert fake.requests != []
        assert json.loads(file.read_text())["probes"] == known["probes"]

    def test_a_folder_that_cannot_be_written_costs_only_the_memory(
        self,
        fake: FakeServer,
        open_model: Callable[..., OpenAIModel],
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        blocked = tmp_path / "file"
        blocked.write_text("not a folder")
        fake.on("/chat/completions", constraining)
        assert open_model(cache_dir=blocked).generate(QUESTION, schema=SCHEMA).structured == "json_schema"
        assert "not remembered" in caplog.text

    def test_that_scoring_failed_is_not_remembered_on_disk(
        self, fake: FakeServer, open_model: Callable[..., OpenAIModel], tmp_path: Path
    ) -> None:
        fake.on("/chat/completions", constraining)
        assert not open_model(cache_dir=tmp_path).capabilities.score
        fake.on("/completions", EchoServer())
        assert open_model(cache_dir=tmp_path).capabilities.score


class EchoServer:
    """Completions with echoed log-probabilities, of a model that expects what followed a word before.

    With `needs`, the probabilities stand one place off unless the prompt begins with that token, which is
    then left out of the answer, as in llama-cpp-python's server.
    """

    def __init__(self, needs: str = "", *, listed: bool = True, null_at: int = 0) -> None:
        self.needs, self.listed, self.null_at = needs, listed, null_at

    @staticmethod
    def tokens(prompt: str) -> list[str]:
        return re.findall(r"<\|[^|]*\|>|<s>|<bos>|\s?[^\s<]+", prompt)

    @classmethod
    def logprobs(cls, tokens: list[str]) -> list[float]:
        pairs = list(itertools.pairwise(tokens))
        return [-5.0] + [-0.25 if pair in pairs[:place] else -8.0 for place, pair in enumerate(pairs)]

    def __call__(self, body: dict[str, Any]) -> Reply:
        assert body["echo"] is True
        assert body["logprobs"] == 1
        assert body["max_tokens"] == 1
        tokens = self.tokens(body["prompt"])
        values: list[float | None] = [*self.logprobs(tokens)]
        if self.needs and tokens[0] == self.needs:
            tokens, values = tokens[1:], values[1:]
        elif self.needs:
            values = [-9.0 for _ in tokens]
        values[self.null_at] = None
        usage = {"prompt_tokens": len(tokens), "completion_tokens": 1}
        if self.listed:
            tokens, values = [*tokens, " next"], [*values, -1.0]
        offsets = [7 * place for place in range(len(tokens))]
        logprobs = {"tokens": tokens, "token_logprobs": values, "text_offset": offsets}
        return Reply({"choices": [{"text": body["prompt"], "logprobs": logprobs}], "usage": usage})


class TestScores:
    @pytest.mark.parametrize("needs", ["", "<|im_start|>", "<s>", "<|endoftext|>"])
    @pytest.mark.parametrize("listed", [True, False])
    def test_the_tokens_of_a_continuation_are_summed_in_their_place(
        self, fake: FakeServer, open_model: Callable[..., OpenAIModel], needs: str, listed: bool
    ) -> None:
        fake.on("/completions", EchoServer(needs, listed=listed))
        model = open_model()
        known, new, nothing = model.score(
            "see a red fox and a blue owl and a", [" red fox", " quiet film", ""]
        )
        assert (known.logprob, known.tokens) == (-0.5, 2)
        assert (new.logprob, new.tokens) == (-16.0, 2)
        assert (nothing.logprob, nothing.tokens) == (0.0, 0)
        assert fake.requests[-1][1]["prompt"] == needs + "see a red fox and a blue owl and a quiet film"
        assert model.usage.calls == len(fake.requests)

    def test_probabilities_that_never_belong_to_their_tokens_are_refused(
        self, fake: FakeServer, open_model: Callable[..., OpenAIModel]
    ) -> None:
        fake.on("/completions", EchoServer("<|unheard|>"))
        model = open_model()
        with pytest.raises(ModelError, match=r"do not belong to their tokens.*--logits_all true"):
            model.score("a red fox", [" and"])
        asked = len(fake.requests)
        assert asked == len(load_probes().leads)
        with pytest.raises(ModelError, match="cannot score"):
            model.score("a red fox", [" and"])
        assert len(fake.requests) == asked

    @pytest.mark.parametrize(
        "reply",
        [
            pytest.param(Reply({"choices": [{"text": " owl"}]}), id="no log-probabilities"),
            pytest.param(
                Reply({"choices": [{"text": " owl", "logprobs": {"content": []}}]}), id="those of chat"
            ),
            pytest.param(
                Reply({"choices": [{"text": "w", "logprobs": {"tokens": [" w"], "token_logprobs": [-1.0]}}]}),
                id="echo ignored",
            ),
            pytest.param(
                error(500, "logprobs is not supported for models created with logits_all=False"), id="off"
            ),
            pytest.param(error(404, "This is a chat model"), id="no endpoint"),
            pytest.param(error(400, "echo is not allowed"), id="refused"),
            pytest.param(Reply("<html>Welcome</html>"), id="a page"),
        ],
    )
    def test_a_server_without_them_says_what_to_do(
        self, fake: FakeServer, open_model: Callable[..., OpenAIModel], reply: Reply
    ) -> None:
        fake.on("/completions", reply)
        slept: list[float] = []
        with pytest.raises(ModelError, match=r"cannot score, because .*vLLM, or llama-cpp-python"):
            open_model(sleep=slept.append).score("a red fox", [" and"])
        assert len(fake.bodies("/completions")) == 1
        assert slept == []

    def test_a_text_without_a_prefix_needs_one(
        self, fake: FakeServer, open_model: Callable[..., OpenAIModel]
    ) -> None:
        fake.on("/completions", EchoServer())
        with pytest.raises(ModelError, match="score with a prefix"):
            open_model().score("", ["red fox"])

    def test_a_server_that_stops_giving_them_is_noticed_and_asked_anew(
        self, fake: FakeServer, open_model: Callable[..., OpenAIModel]
    ) -> None:
        fake.on("/completions", EchoServer())
        model = open_model()
        before = model.score("a red fox and a", [" red"])
        fake.on("/completions", Reply({"choices": [{"text": "x"}]}))
        with pytest.raises(ModelError, match="though it did before"):
            model.score("a red fox and a", [" red"])
        fake.on("/completions", EchoServer("<s>"))
        assert model.score("a red fox and a", [" red"]) == before

    def test_impossible_values_become_log_probabilities(
        self, fake: FakeServer, open_model: Callable[..., OpenAIModel]
    ) -> None:
        fake.on("/completions", EchoServer())
        model = open_model()
        model.score("a b", [" c"])
        tokens = ["a", " b", " c"]
        for value, expected in ((0.001, 0.0), (float("-inf"), -9999.0), (float("nan"), -9999.0)):
            logprobs = {"tokens": tokens, "token_logprobs": [None, -1.0, value]}
            fake.on("/completions", Reply({"choices": [{"text": "", "logprobs": logprobs}]}))
            assert model.score("a b", [" c"])[0].logprob == expected

    def test_several_at_once_keep_their_order(
        self, fake: FakeServer, open_model: Callable[..., OpenAIModel]
    ) -> None:
        echo, together = EchoServer(), threading.Barrier(3, timeout=10)

        def slow(body: dict[str, Any]) -> Reply:
            if "wait" in body["prompt"]:
                together.wait()
            return echo(body)

        fake.on("/completions", slow)
        model = open_model(max_concurrency=3)
        scores = model.score("wait a red fox and a", [" red", " blue owl", " green old bear"])
        assert [score.tokens for score in scores] == [1, 2, 3]


@pytest.fixture(scope="module")
def traits_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("traits")


@pytest.mark.server
class TestRealServer(LanguageModelContract):
    """The contract, and more, against llama-cpp-python's server with the embedded model."""

    knows_english = True

    @pytest.fixture
    def model(self, openai_server: str, traits_dir: Path) -> Iterator[LanguageModel]:
        model = OpenAIModel("smollm2", base_url=openai_server, cache_dir=traits_dir)
        yield model
        model.close()

    def test_what_it_can_do_is_found_out(self, model: LanguageModel) -> None:
        capabilities = model.capabilities
        assert capabilities.score
        assert capabilities.generate
        assert capabilities.structured == "json_object"
        assert not capabilities.open_answers

    def test_scores_are_those_of_the_next_token(self, model: OpenAIModel) -> None:
        # Without echo, the server gives the first token it generates its true probability.
        prefix = "The capital of France is"
        options = {"logprobs": 1, "max_tokens": 1, "temperature": 0.0}
        answer = model._client.complete("<|im_start|>" + prefix, options)
        shown = answer["choices"][0]["logprobs"]
        assert shown["tokens"] == [" Paris"]
        (score,) = model.score(prefix, [" Paris"])
        assert score.tokens == 1
        assert score.logprob == pytest.approx(shown["token_logprobs"][0], abs=0.02)

    def test_an_answer_is_a_json_object(self, model: LanguageModel) -> None:
        answer = model.generate(QUESTION, schema=SCHEMA, max_tokens=60)
        assert answer.structured == "json_object"
        assert answer.text.lstrip().startswith("{")
