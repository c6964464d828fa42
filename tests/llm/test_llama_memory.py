"""The local engine's memory: nothing leaks, what is kept is bounded, and models live side by side."""

from __future__ import annotations

import collections
import gc
import inspect
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from llmrec.errors import ContextLengthError, ModelError
from llmrec.llm.base import LanguageModel, Message
from tests.llm.children import run
from tests.llm.one_by_one import OneByOne, logprobs, near

pytest.importorskip("llama_cpp")
pytest.importorskip("gguf")

from llmrec.llm.llama_cpp import LlamaCppModel

PREFIX = "the fox asked the owl about the ship"
HELD = {"type": "array", "items": {"type": "string"}}

# To allocate, the system and numpy keep some memory back; a model or a context that leaks costs more.
SLACK_MB = 24


def question(text: str = "Tell me about the fox.") -> list[Message]:
    return [Message(role="user", content=text)]


def growth(program: str, path: Path) -> float:
    """How much the resident memory of such a program grew, in MB, as it says itself."""
    if not Path("/proc/self/status").exists():
        pytest.skip("this system does not tell how much memory a process has")
    before, after = json.loads(run(program, path))
    return float(after - before)


class Ledger:
    """Counts what llama.cpp has given out and taken back, and can fail at any call to it."""

    GIVES = {
        "llama_model_load_from_file": "model",
        "llama_init_from_model": "context",
        "llama_batch_init": "batch",
    }
    TAKES = {"llama_model_free": "model", "llama_free": "context", "llama_batch_free": "batch"}

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        import llama_cpp

        self.open: collections.Counter[str] = collections.Counter()
        self.calls: list[str] = []
        self.fail_at: int | None = None
        self.failure: type[BaseException] = MemoryError
        for name, function in list(vars(llama_cpp).items()):
            if name.startswith("llama_") and callable(function) and not inspect.isclass(function):
                monkeypatch.setattr(llama_cpp, name, self._watched(name, function))

    def _watched(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self.calls.append(name)
            # What frees does not fail, and what is freed twice ends the process.
            if self.fail_at == len(self.calls) and name not in self.TAKES:
                raise self.failure(f"at {name}")
            result = function(*arguments)
            if name in self.GIVES and result:
                self.open[self.GIVES[name]] += 1
            if name in self.TAKES:
                self.open[self.TAKES[name]] -= 1
            return result

        return call

    def nothing_is_open(self) -> bool:
        if any(self.open.values()):
            gc.collect()
        return not any(self.open.values())


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Ledger:
    return Ledger(monkeypatch)


class TestNothingLeaks:
    def test_a_model_is_given_back_by_closing_and_by_forgetting(
        self, ledger: Ledger, tiny_gguf: Path
    ) -> None:
        for closed in (True, False, True):
            model = LlamaCppModel(tiny_gguf, threads=1)
            assert ledger.open["model"] == ledger.open["context"] == 1
            model.score(PREFIX, [" ship", " fox" * 9])
            model.generate(question(), max_tokens=5)
            model.generate(question(), max_tokens=5, schema=HELD)
            if closed:
                model.close()
                model.close()
                assert ledger.nothing_is_open()
            del model
            assert ledger.nothing_is_open()

    def test_a_model_whose_calls_failed_is_given_back_when_forgotten(
        self, ledger: Ledger, tiny_gguf: Path
    ) -> None:
        model = LlamaCppModel(tiny_gguf, threads=1, context_length=256)

        def refuse(_: str) -> None:
            raise ZeroDivisionError

        with pytest.raises(ContextLengthError):
            model.score("x" * 300, ["y"])
        with pytest.raises(ModelError):
            model.generate([], max_tokens=5)
        with pytest.raises(ModelError):
            model.generate(question(), schema={"type": "nonsense"})
        with pytest.raises(ZeroDivisionError):
            model.generate(question(), max_tokens=20, temperature=1.0, on_text=refuse)
        del model
        assert ledger.nothing_is_open()

    @pytest.mark.parametrize("failure", [MemoryError, KeyboardInterrupt])
    def test_a_failure_anywhere_in_opening_gives_all_back(
        self, ledger: Ledger, tiny_gguf: Path, failure: type[BaseException]
    ) -> None:
        for _ in range(2):
            # What is done once in a process is not done again.
            ledger.calls.clear()
            LlamaCppModel(tiny_gguf, threads=1).close()
        order, ledger.failure = list(ledger.calls), failure
        opening = [name for name in order if name not in ledger.TAKES]
        # The first and the last call of each kind: some are made once for every token.
        moments = {order.index(name) for name in opening}
        moments |= {len(order) - 1 - order[::-1].index(name) for name in opening}
        failed = 0
        for moment in sorted(moments):
            ledger.calls.clear()
            ledger.fail_at = moment + 1
            try:
                LlamaCppModel(tiny_gguf, threads=1).close()
            except (failure, ModelError):
                failed += 1
            ledger.fail_at = None
            assert ledger.nothing_is_open(), order[moment]
        assert failed >= 5

    @pytest.mark.parametrize("name", ["llama_init_from_model", "llama_get_memory"])
    def test_what_llama_cpp_refuses_gives_all_back(
        self, ledger: Ledger, tiny_gguf: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        import llama_cpp

        monkeypatch.setattr(llama_cpp, name, lambda *_: None)
        for _ in range(3):
            with pytest.raises(ModelError):
                LlamaCppModel(tiny_gguf, threads=1)
        assert ledger.nothing_is_open()

    def test_a_refused_kind_gives_all_back(self, ledger: Ledger, gguf_of: Callable[..., Path]) -> None:
        for options in ({"architecture": "t5"}, {"architecture": "bert"}, {"tokenizer": "none"}):
            with pytest.raises(ModelError):
                LlamaCppModel(gguf_of(**options), threads=1)
        assert ledger.open["model"] == 0
        assert ledger.nothing_is_open()

    def test_two_hundred_models_one_after_the_other(self, gguf_of: Callable[..., Path]) -> None:
        program = """
def once():
    model = opened()
    model.score("the fox asked", [" ship", " fox and owl"])
    model.generate(question, max_tokens=3)
    model.close()

for _ in range(20):
    once()
before = resident()
for _ in range(180):
    once()
print(json.dumps([before, resident()]))
"""
        assert growth(program, gguf_of(architecture="jamba")) < SLACK_MB

    def test_models_that_nobody_closes_or_that_do_not_open(self, tiny_gguf: Path) -> None:
        program = """
def once(number):
    model = opened(context_length=256)
    model.score("the fox asked", [" ship"])
    model.generate(question, max_tokens=2, schema={"enum": ["a"]} if number % 20 == 0 else None)
    del model
    try:
        LlamaCppModel("no such file.gguf")
    except ModelError:
        pass

for number in range(20):
    once(number)
before = resident()
for number in range(80):
    once(number)
print(json.dumps([before, resident()]))
"""
        assert growth(program, tiny_gguf) < SLACK_MB

    def test_many_calls_do_not_grow(self, tiny_gguf: Path) -> None:
        program = """
model = opened()

def once(number):
    model.score(f"the fox {number % 7} asked", [f" ship {n}" for n in range(number % 20)])
    model.generate(question, max_tokens=4, temperature=1.0, seed=number)
    model.generate(question, max_tokens=4, schema={"type": "array", "items": {"type": "integer"}})

for number in range(30):
    once(number)
before = resident()
for number in range(100):
    once(number)
print(json.dumps([before, resident()]))
"""
        assert growth(program, tiny_gguf) < SLACK_MB

    def test_many_long_prefixes_keep_to_a_bound(self, gguf_of: Callable[..., Path]) -> None:
        """What is kept of a prefix of 110 tokens is more than 3 MB here: all would be 150 MB."""
        program = """
model = opened()

def once(number):
    model.score(f"{number} is " + "x!?#" * 26, [" ship"])

for number in range(20):
    once(number)
before = resident()
for number in range(20, 44):
    once(number)
print(json.dumps([before, resident()]))
"""
        assert growth(program, gguf_of(head_width=2048)) < 2 * SLACK_MB

    @pytest.mark.embedded
    def test_fifty_embedded_models_one_after_the_other(self, prepared_gguf: Path) -> None:
        program = """
def once():
    model = opened(context_length=512)
    model.score("Things this person liked:\\n- Dune\\n-", [" Alien", " A cookery book"])
    model.generate(question, max_tokens=2)
    model.close()

for _ in range(5):
    once()
before = resident()
for _ in range(45):
    once()
print(json.dumps([before, resident()]))
"""
        assert growth(program, prepared_gguf) < SLACK_MB


class TestSideBySide:
    def test_several_models_of_one_file_in_several_threads(
        self, tiny_gguf: Path, open_tiny: Callable[..., LlamaCppModel], alone_in: Callable[[Path], OneByOne]
    ) -> None:
        alone = alone_in(tiny_gguf)
        models = [open_tiny(context_length=length) for length in (2048, 512, 1024)]
        prefixes = [f"{PREFIX} {number}" for number in range(5)]
        expected = {p: [alone.score(p, text) for text in (" ship", " nothing" * 5)] for p in prefixes}
        answers = {
            p: models[0].generate(question(p), max_tokens=8, temperature=1.0, seed=3).text for p in prefixes
        }

        def work(number: int) -> None:
            model, prefix = models[number % len(models)], prefixes[number % len(prefixes)]
            if number % 4 == 3:
                answer = model.generate(question(prefix), max_tokens=8, temperature=1.0, seed=3)
                assert answer.text == answers[prefix]
            else:
                scores = model.score(prefix, [" ship", " nothing" * 5])
                assert logprobs(scores) == near(expected[prefix])

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(120)))

    def test_models_are_opened_and_closed_while_others_work(
        self, tiny_gguf: Path, tiny_model: LanguageModel
    ) -> None:
        expected = logprobs(tiny_model.score(PREFIX, [" ship"]))

        def work(number: int) -> None:
            model = LlamaCppModel(tiny_gguf, threads=1, context_length=256)
            try:
                assert logprobs(model.score(PREFIX, [" ship"])) == near(expected)
                model.generate(question(), max_tokens=3, schema=HELD if number % 8 == 0 else None)
                assert logprobs(tiny_model.score(PREFIX, [" ship"])) == near(expected)
            finally:
                model.close()

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(work, range(40)))
