"""The local engine with other vocabularies and chat templates: large, without ends, with none, bad."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from llmrec.errors import ModelError
from llmrec.llm.base import LanguageModel, Message
from tests.llm.children import run
from tests.llm.contract import LanguageModelContract
from tests.llm.one_by_one import NEAR, OneByOne, logprobs, near
from tests.llm.tiny_gguf import CHATML, Conventions

pytest.importorskip("llama_cpp")
pytest.importorskip("gguf")

from llmrec.llm.llama_cpp import LlamaCppModel

PREFIX = "the fox asked the owl about the ship"
CONTINUATIONS = [" the wood", " nothing", "电影", "\n- the ship, the fox", "!"]
LARGE: dict[str, Any] = {"more_tokens": 149_700, "width": 16, "half": True, "seed": 5}
# Weights of 5 MB, and logits: 307 MB were they kept for every token of a batch, 115 MB for those that count.
LARGE_BOUND_MB = 400

OTHERS: dict[str, dict[str, Any]] = {
    "a large vocabulary": LARGE,
    "no ends": {"tokenizer": "bare"},
    "adds both ends": {"conventions": Conventions(adds_first=True, adds_last=True), "quiet_ends": True},
    "one end, no template": {"conventions": Conventions(last=0, chat_template=None), "quiet_ends": True},
}


class Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    first: int = Field(ge=1, le=9)
    second: str = Field(max_length=4)
    third: bool


def question(text: str = "Tell me about the fox, please.") -> list[Message]:
    return [Message(role="user", content=text)]


class TestContract(LanguageModelContract):
    tolerance = NEAR

    @pytest.fixture(params=OTHERS)
    def model(
        self,
        request: pytest.FixtureRequest,
        open_tiny: Callable[..., LlamaCppModel],
        gguf_of: Callable[..., Path],
    ) -> LlamaCppModel:
        return open_tiny(gguf_of(**OTHERS[request.param]))


@pytest.fixture(params=OTHERS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def path(kind: str, gguf_of: Callable[..., Path]) -> Path:
    return gguf_of(**OTHERS[kind])


@pytest.fixture
def model(path: Path, open_tiny: Callable[..., LlamaCppModel]) -> LanguageModel:
    return open_tiny(path)


class TestEveryVocabulary:
    def test_scores_are_those_of_the_texts_alone(
        self, kind: str, model: LanguageModel, path: Path, alone_in: Callable[[Path], OneByOne]
    ) -> None:
        alone = alone_in(path)
        # Begun with a token of its own, every other text would be another one.
        head = "" if kind == "adds both ends" else PREFIX
        scores = model.score(head, CONTINUATIONS)
        assert [score.tokens for score in scores] == [len(alone.tokens(text)) for text in CONTINUATIONS]
        expected = [alone.score(head, text) for text in CONTINUATIONS]
        assert logprobs(scores) == near(expected)

    def test_answers_held_to_a_schema_are_valid(self, model: LanguageModel) -> None:
        # Warm, or a model that finds likely what it has just read writes white space for ever.
        for seed in range(8):
            answer = model.generate(
                question(), schema=Answer.model_json_schema(), max_tokens=120, temperature=12.0, seed=seed
            )
            if answer.finish_reason == "stop":
                Answer.model_validate_json(answer.text, strict=True)
                return
            with pytest.raises(ValueError):
                json.loads(answer.text)
        pytest.fail("no answer came to its end")

    def test_free_answers_come_to_an_end_of_their_own_or_of_the_allowance(self, model: LanguageModel) -> None:
        for seed in range(3):
            answer = model.generate(question(), max_tokens=30, temperature=1.0, seed=seed)
            assert answer.finish_reason in ("stop", "length")
            assert answer.usage.completion_tokens == 30 or answer.finish_reason == "stop"


class TestLargeVocabulary:
    def test_memory_is_bounded(self, gguf_of: Callable[..., Path]) -> None:
        if not Path("/proc/self/status").exists():
            pytest.skip("this system does not tell how much memory a process has")
        program = """
import llama_cpp, llguidance, numpy

def peak():
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

before = peak()
model = opened()
assert len(model.score("the fox " * 60, [f" ship {n} {'!' * 9}" for n in range(40)])) == 40
question = [Message(role="user", content="the fox " * 100)]
model.generate(question, max_tokens=10)
answer = model.generate(question, schema={"type": "string", "maxLength": 3}, max_tokens=40)
json.loads(answer.text)
print(peak() - before)
"""
        assert 5 < float(run(program, gguf_of(**LARGE))) < LARGE_BOUND_MB

    def test_tokens_of_a_large_vocabulary_can_be_chosen(
        self, gguf_of: Callable[..., Path], open_tiny: Callable[..., LlamaCppModel]
    ) -> None:
        model = open_tiny(gguf_of(**LARGE))
        answer = model.generate(question(), max_tokens=40, temperature=3.0, seed=1)
        assert "more" in answer.text


class TestEnds:
    def test_without_ends_in_the_file_no_ordinary_token_ends_an_answer(
        self, gguf_of: Callable[..., Path], open_tiny: Callable[..., LlamaCppModel]
    ) -> None:
        """llama.cpp takes token 11 for the end of such a file: in GPT-2's order that is the comma."""
        model = open_tiny(gguf_of(tokenizer="bare"))
        answers = [
            model.generate(question(), max_tokens=60, temperature=10.0, seed=seed) for seed in range(40)
        ]
        # All but evenly drawn from 290 tokens, eight of them are commas.
        assert any("," in answer.text for answer in answers)
        assert {answer.finish_reason for answer in answers} == {"length"}
        held = model.generate(question(), schema={"enum": ["the fox, the owl"]}, max_tokens=40)
        assert json.loads(held.text) == "the fox, the owl"
        assert held.finish_reason == "stop"

    def test_without_a_token_to_begin_with_an_empty_prefix_is_not_begun_with_an_ordinary_one(
        self, gguf_of: Callable[..., Path], open_tiny: Callable[..., LlamaCppModel]
    ) -> None:
        model = open_tiny(gguf_of(tokenizer="bare"))
        with pytest.raises(ModelError, match="give a prefix that is not empty"):
            model.score("", [" ship"])

    def test_the_end_a_model_adds_is_no_part_of_a_text(
        self, gguf_of: Callable[..., Path], tiny_model: LanguageModel, open_tiny: Callable[..., LlamaCppModel]
    ) -> None:
        model = open_tiny(gguf_of(conventions=Conventions(adds_last=True)))
        expected, found = (one.score(PREFIX, CONTINUATIONS) for one in (tiny_model, model))
        assert [score.tokens for score in found] == [score.tokens for score in expected]
        assert logprobs(found) == near(logprobs(expected))
        answers = [one.generate(question(), max_tokens=20).text for one in (tiny_model, model)]
        assert answers[0] == answers[1]

    def test_one_token_for_both_ends_begins_a_text_and_ends_an_answer(
        self,
        gguf_of: Callable[..., Path],
        open_tiny: Callable[..., LlamaCppModel],
        alone_in: Callable[[Path], OneByOne],
    ) -> None:
        path = gguf_of(conventions=Conventions(last=0))
        model = open_tiny(path)
        (score,) = model.score("", [" ship"])
        assert score.logprob == near(alone_in(path).score("", " ship"))
        reasons = {
            model.generate(question(), max_tokens=150, temperature=2.5, seed=seed).finish_reason
            for seed in range(12)
        }
        assert reasons == {"stop", "length"}


class TestChatTemplates:
    def test_without_a_template_messages_stand_one_under_the_other(
        self,
        gguf_of: Callable[..., Path],
        open_tiny: Callable[..., LlamaCppModel],
        alone_in: Callable[[Path], OneByOne],
    ) -> None:
        path = gguf_of(conventions=Conventions(chat_template=None))
        model, alone = open_tiny(path), alone_in(path)
        compared = 0
        for number in range(12):
            messages = [Message(role="system", content=f"Be kind {number}."), *question("the fox, the owl")]
            plain = f"Be kind {number}.\n\nthe fox, the owl\n\n"
            expected, margin = alone.greedy_answer(plain, 6)
            if margin > 0.1 and expected:
                compared += 1
                assert model.generate(messages, max_tokens=6).text == expected.decode(errors="replace")
        assert compared

    @pytest.mark.parametrize(
        "template",
        [
            pytest.param("{{ raise_exception('I refuse') }}", id="raises"),
            pytest.param("{% for message in messages %}{{ message['content'] }}", id="broken"),
            pytest.param("{{ messages[0]['content'] }}{{ 1 / 0 }}", id="fails"),
            pytest.param("{{ messages.nothing.at.all }}", id="undefined"),
            pytest.param("Hello there", id="leaves all out"),
            pytest.param("{% include 'another file' %}", id="includes"),
            pytest.param("{{ ''.__class__.__mro__[1].__subclasses__() }}", id="escapes"),
        ],
    )
    def test_a_template_that_cannot_be_used_is_told_and_scoring_goes_on(
        self, gguf_of: Callable[..., Path], open_tiny: Callable[..., LlamaCppModel], template: str
    ) -> None:
        model = open_tiny(gguf_of(conventions=Conventions(chat_template=template)))
        before = model.usage
        for messages in (question(), [Message(role="system", content="Be kind."), *question()]):
            with pytest.raises(ModelError, match=r"chat template (fails|leaves out)") as caught:
                model.generate(messages, max_tokens=3)
            assert "\n" not in str(caught.value)
        assert model.usage == before
        assert model.score(PREFIX, [" ship"])[0].tokens == 1

    def test_a_long_template_is_read_whole(
        self, gguf_of: Callable[..., Path], tiny_model: LanguageModel, open_tiny: Callable[..., LlamaCppModel]
    ) -> None:
        padding = "{# " + "no more than a remark. " * 8_000 + "#}"
        model = open_tiny(gguf_of(conventions=Conventions(chat_template=padding + CHATML)))
        assert (
            model.generate(question(), max_tokens=8).text
            == tiny_model.generate(question(), max_tokens=8).text
        )


class TestModelsThatDoNotWrite:
    def test_an_encoder_and_decoder_are_refused(self, gguf_of: Callable[..., Path]) -> None:
        with pytest.raises(ModelError, match=r"writes text|instruct|encoder") as caught:
            LlamaCppModel(gguf_of(architecture="t5"), threads=1)
        assert "\n" not in str(caught.value)

    def test_an_encoder_is_refused(self, gguf_of: Callable[..., Path]) -> None:
        with pytest.raises(ModelError, match=r"writes text|instruct|encoder|embed") as caught:
            LlamaCppModel(gguf_of(architecture="bert"), threads=1)
        assert "\n" not in str(caught.value)
