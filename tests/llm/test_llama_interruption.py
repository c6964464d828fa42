"""Interruptions of the local engine, and closing it at a wrong time: nothing hangs or is left broken."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.llm.children import STARTED, Child, run
from tests.llm.one_by_one import OneByOne, near

pytest.importorskip("llama_cpp")
pytest.importorskip("gguf")

PREFIX = "the fox asked the owl about the ship"
HELD = {"type": "array", "items": {"type": "string"}}
WORK = {
    "scoring": "model.score(f'the fox {turn} asked', [f' ship {n}' * 5 for n in range(1500)])",
    "a long prefix": "model.score(f'{turn} is ' + 'x!?#' * 480, [' ship'])",
    "prefixes read before": "model.score(f'{turn % 2} is ' + 'x!?#' * 40, [' ship'])",
    "an answer": "model.generate(question, max_tokens=900, temperature=1.0, seed=turn)",
    "a held answer": "model.generate(question, max_tokens=900, temperature=1.0, seed=turn, schema=held)",
    "a told answer": "model.generate(question, max_tokens=900, seed=turn, temperature=1, on_text=hear)",
}
PREPARE = f"""
model, held, said, turn = opened(), {HELD!r}, [], 0
hear = said.append
"""


@pytest.mark.skipif(os.name == "nt", reason="this system has no such signals")
class TestInterruption:
    @pytest.mark.parametrize("work", WORK)
    def test_a_process_that_is_interrupted_ends(self, tiny_gguf: Path, work: str) -> None:
        program = f"{PREPARE}\nprint({STARTED!r})\nwhile True:\n    turn += 1\n    {WORK[work]}\n"
        with Child(program, tiny_gguf) as child:
            child.interrupt(after=0.1)
            code, errors = child.end()
        assert code in (-signal.SIGINT, 128 + signal.SIGINT, 1), errors
        assert "KeyboardInterrupt" in errors
        assert "Exception ignored" not in errors

    @pytest.mark.parametrize("kind", ["llama", "mamba", "lfm2"])
    def test_a_process_that_catches_interruptions_goes_on_rightly(
        self, gguf_of: Callable[..., Path], alone_in: Callable[[Path], OneByOne], kind: str
    ) -> None:
        path = gguf_of(architecture=kind)
        alone = alone_in(path)
        prefixes, continuations = (PREFIX, "the fox 1 asked", "the fox"), (" ship", " nothing" * 9)
        expected = [alone.score(prefix, text) for prefix in prefixes for text in continuations]
        program = f"""{PREPARE}
works = [lambda: {", lambda: ".join(WORK.values())}]
while True:
    try:
        print({STARTED!r})
        while True:
            turn += 1
            works[turn % len(works)]()
    except KeyboardInterrupt:
        found = [model.score(prefix, {list(continuations)!r}) for prefix in {prefixes!r}]
        print(json.dumps([score.logprob for scores in found for score in scores]))
"""
        with Child(program, path) as child:
            for number in range(12):
                # At other places of other kinds of work.
                child.interrupt(after=0.013 * (number % 5 + 1))
                assert json.loads(child.line()) == near(expected)

    def test_no_interruption_is_lost_while_states_are_restored(self, tiny_gguf: Path) -> None:
        """llama.cpp tells of that in its log; an exception in a callback for the log would go nowhere."""
        program = f"""{PREPARE}
while True:
    try:
        print({STARTED!r})
        while True:
            turn += 1
            {WORK["prefixes read before"]}
    except KeyboardInterrupt:
        print("interrupted")
"""
        with Child(program, tiny_gguf) as child:
            for _ in range(60):
                child.interrupt(after=0.005)
                assert child.line() == "interrupted"


class TestClosingInBetween:
    """In a process of its own: what is freed and used may end it."""

    @pytest.mark.parametrize("schema", [None, HELD])
    def test_a_listener_that_closes_the_model_ends_the_answer(
        self, tiny_gguf: Path, schema: dict[str, object] | None
    ) -> None:
        program = f"""
model, said = opened(), []

def close(piece):
    said.append(piece)
    if len(said) == 3:
        model.close()

try:
    model.generate(question, max_tokens=300, temperature=1.0, on_text=close, schema={schema!r})
except ModelError as error:
    print("refused:", error)
"""
        assert "closed" in run(program, tiny_gguf)

    def test_closing_from_another_thread_waits_or_ends_the_call(self, tiny_gguf: Path) -> None:
        program = """
for number in range(16):
    model = opened(context_length=1024)
    works = [
        lambda: model.score(f"the fox {number} asked", [f" ship {n}" * 4 for n in range(60)]),
        lambda: model.generate(question, max_tokens=150, temperature=1.0, seed=number),
    ]
    closing = threading.Timer(0.002 * number, model.close)
    closing.start()
    try:
        while True:
            works[number % 2]()
    except ModelError as error:
        assert "closed" in str(error), error
    closing.join()
print("all ended")
"""
        assert run(program, tiny_gguf).strip() == "all ended"

    def test_a_model_that_is_open_when_the_process_ends_does_no_harm(self, tiny_gguf: Path) -> None:
        program = """
model = opened()
threading.Thread(
    target=lambda: [model.score(f"{n}", [f" ship {k}" for k in range(99)]) for n in range(10**6)], daemon=True
).start()
time.sleep(0.2)
print("ended")
"""
        assert run(program, tiny_gguf).strip() == "ended"
