"""The local engine with models of other kinds: windows, recurrent states, and both kinds of layers."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from llmrec.errors import CallCancelledError, ContextLengthError, ModelError
from llmrec.llm.base import LanguageModel, Message, score_prefixes
from llmrec.llm.cancellation import Cancellation
from tests.llm.contract import LanguageModelContract
from tests.llm.one_by_one import NEAR, OneByOne, logprobs, near
from tests.llm.tiny_architectures import SLIDING_WINDOW

pytest.importorskip("llama_cpp")
pytest.importorskip("gguf")

from llmrec.llm.llama_cpp import LlamaCppModel

KINDS = ("gemma3", "mamba", "lfm2", "qwen35")
SIMILAR_KINDS = ("gemma2", "jamba")
STORY = "the fox asked the owl about the ship, and nothing followed. "
LONG = STORY * 5
CONTINUATIONS = [
    " the wood",
    "",
    " nothing",
    "电影",
    "!",
    "\n- the ship",
    "\n- the ship sank",
    " ship" * 40,
    "\n- the ship",
]
BROKEN_OFF = 2
ANSWER = {"enum": ["the owl", "the fox"]}


def question(text: str) -> list[Message]:
    return [Message(role="user", content=text)]


class TestOtherKindsContract(LanguageModelContract):
    tolerance = NEAR

    @pytest.fixture(params=KINDS)
    def model(
        self,
        request: pytest.FixtureRequest,
        open_tiny: Callable[..., LlamaCppModel],
        gguf_of: Callable[..., Path],
    ) -> LlamaCppModel:
        return open_tiny(gguf_of(architecture=request.param))


@pytest.fixture(params=KINDS)
def path(request: pytest.FixtureRequest, gguf_of: Callable[..., Path]) -> Path:
    return gguf_of(architecture=request.param)


@pytest.fixture
def model(path: Path, open_tiny: Callable[..., LlamaCppModel]) -> LanguageModel:
    return open_tiny(path)


@pytest.fixture
def alone(path: Path, alone_in: Callable[[Path], OneByOne]) -> OneByOne:
    return alone_in(path)


class Checked:
    """Scores, and compares each score with that of the text alone."""

    def __init__(self, model: LanguageModel, alone: OneByOne) -> None:
        self.model = model
        self.alone = alone

    def __call__(self, prefix: str, continuations: list[str], *, every: int = 1) -> None:
        scores = self.model.score(prefix, continuations)
        assert [score.tokens for score in scores] == [len(self.alone.tokens(text)) for text in continuations]
        expected = [self.alone.score(prefix, text) for text in continuations[::every]]
        assert logprobs(scores[::every]) == near(expected), prefix


@pytest.fixture
def checked(model: LanguageModel, alone: OneByOne) -> Checked:
    return Checked(model, alone)


class TestScores:
    def test_they_are_what_one_token_at_a_time_gives(self, model: LanguageModel, alone: OneByOne) -> None:
        assert len(alone.tokens(LONG)) > 4 * SLIDING_WINDOW
        for prefix in (LONG, "the", LONG + "the"):
            expected = [alone.score_token_by_token(prefix, text) for text in CONTINUATIONS]
            assert logprobs(model.score(prefix, CONTINUATIONS)) == near(expected)

    def test_far_more_continuations_than_sequences(self, checked: Checked) -> None:
        checked(LONG, [f" {number}" + " the ship" * (number % 13) for number in range(150)], every=7)

    def test_long_continuations_of_very_unequal_lengths(self, checked: Checked) -> None:
        lengths = (1, 2, 600, 33, 32, 31, 150, 149, 5, 512, 513)
        checked(STORY, [("!?#abc" * length)[:length] for length in lengths])

    def test_continuations_with_shared_beginnings_of_many_tokens(self, checked: Checked) -> None:
        series = "\n- The Lord of the Rings: "
        titles = ["", "The Two Towers", "The Two", "The Return of the King", "The Two Towers (extended)"]
        checked(LONG, [series + title for title in titles] + ["\n", "\n- ", series.rstrip(), "\n- Dune"])

    def test_the_context_is_filled_to_its_last_token(
        self, path: Path, open_tiny: Callable[..., LlamaCppModel], alone: OneByOne
    ) -> None:
        checked = Checked(open_tiny(path, context_length=256), alone)
        checked("y" * 200, ["z" * 56, "w" * 56, "z" * 55 + "w", "v"])
        # A recurrent state has no end of its own: only counting keeps a text within what the model learnt.
        for prefix, continuation in (("y" * 200, "z" * 57), ("y" * 257, "z"), ("y", "z" * 300)):
            with pytest.raises(ContextLengthError, match="256") as caught:
                checked.model.score(prefix, ["v", continuation])
            assert caught.value.tokens == len(prefix) + len(continuation)
        with pytest.raises(ContextLengthError):
            checked.model.generate(question("y" * 300))
        checked("y" * 200, ["z" * 56])

    def test_several_prefixes_at_once(self, model: LanguageModel, alone: OneByOne) -> None:
        prefixes = [LONG, "", LONG + "the owl", "the fox", LONG[: len(LONG) // 2], LONG]
        found = score_prefixes(model, prefixes, CONTINUATIONS)
        for prefix, scores in zip(prefixes, found, strict=True):
            expected = [alone.score(prefix, text) for text in CONTINUATIONS]
            assert logprobs(scores) == near(expected), prefix


class TestSimilarKinds:
    @pytest.mark.parametrize("kind", SIMILAR_KINDS)
    def test_they_are_scored_and_gone_back_into_as_well(
        self,
        kind: str,
        gguf_of: Callable[..., Path],
        open_tiny: Callable[..., LlamaCppModel],
        alone_in: Callable[[Path], OneByOne],
    ) -> None:
        path = gguf_of(architecture=kind)
        checked = Checked(open_tiny(path), alone_in(path))
        for number, prefix in enumerate((LONG, LONG[:-9], LONG + " owl", "the", LONG, LONG[:90], LONG)):
            checked(prefix, [" the ship", *CONTINUATIONS[number:]])
            answer = checked.model.generate(question(prefix), schema=ANSWER, max_tokens=60, temperature=1.0)
            assert json.loads(answer.text) in ANSWER["enum"]


class TestReuse:
    def test_going_back_into_a_prefix_and_on_from_there(self, checked: Checked) -> None:
        half, window = len(LONG) // 2, len(LONG) - SLIDING_WINDOW // 2
        prefixes = [LONG, LONG[:window], LONG[:half], LONG, LONG + " more", LONG[:half] + " another way"]
        prefixes += [
            LONG[:1],
            LONG,
            LONG,
            LONG[:-1],
            LONG[:-2],
            LONG + " more " + STORY,
            LONG + " mor",
            "owl",
        ]
        for prefix in prefixes:
            checked(prefix, [" the ship", " nothing", " the shipwreck"])

    def test_a_prefix_is_gone_back_to_after_much_else(self, checked: Checked) -> None:
        people = [f"Person {number} liked: {STORY * (number % 4 + 1)}" for number in range(12)]
        for person in people:
            checked(person, [" the ship", " nothing"])
        # Each once more: as it was, cut short inside and outside of a window, and longer.
        for number, person in enumerate(people * 2):
            checked((person, person[:-9], person[:-60], person + " owl")[number % 4], [" the ship", "!?" * 9])

    def test_one_token_more_and_one_token_less(self, checked: Checked) -> None:
        for end in (100, 101, 102, 101, 100, 99, 98, 140, 139, 100):
            checked(LONG[:end], ["a", "bc"])

    def test_an_empty_prefix_between_others(self, checked: Checked) -> None:
        for prefix in ("", LONG, "", "the", ""):
            checked(prefix, [" the ship", "!"])


class TestStatesOnDisk:
    def test_another_process_need_not_read_again_what_was_read(
        self, path: Path, open_tiny: Callable[..., LlamaCppModel], alone: OneByOne, tmp_path: Path
    ) -> None:
        first = Checked(open_tiny(path, prefix_folder=tmp_path), alone)
        first(LONG, [" the ship"])
        first("another text that is not like it", [" the ship"])
        first.model.close()
        for length, prefix in ((2048, LONG), (1024, LONG + " owl"), (2048, LONG[:-20]), (2048, LONG[:60])):
            later = Checked(open_tiny(path, prefix_folder=tmp_path, context_length=length), alone)
            later(prefix, [" the ship", "!", "\n- the ship"])
            if prefix.startswith(LONG):
                assert later.model.usage.prompt_tokens < len(alone.tokens(LONG)) / 2
            # What came out of a file is gone on from, and gone back into.
            for text in (LONG[:100], LONG + " fox", LONG[:-40], LONG + " fox and", ""):
                later(text, [" the ship", "!"])
            later.model.close()

    def test_states_of_other_weights_are_left_alone(
        self,
        gguf_of: Callable[..., Path],
        open_tiny: Callable[..., LlamaCppModel],
        alone_in: Callable[[Path], OneByOne],
        tmp_path: Path,
    ) -> None:
        for kind in ("gemma3", "mamba", "lfm2"):
            for seed in (0, 7):
                path = gguf_of(architecture=kind, seed=seed)
                checked = Checked(open_tiny(path, prefix_folder=tmp_path), alone_in(path))
                checked(LONG, [" the ship", "!"])
                checked.model.close()


class TestAnswers:
    def test_an_answer_is_the_likeliest_and_stays_so_between_scores(
        self, model: LanguageModel, alone: OneByOne
    ) -> None:
        sure = 0
        for number in range(20):
            text = f"Story {number}. " + STORY * (number % 4)
            prompt = f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
            expected, margin = alone.greedy_answer(prompt, 6)
            # Where two tokens are all but equally likely, rounding decides.
            if margin < 0.1 or not expected:
                continue
            sure += 1
            for listener in (None, lambda _: model.score("something else", [" the ship"])):
                answer = model.generate(question(text), max_tokens=6, on_text=listener)
                assert answer.text == expected.decode(errors="replace")
                scores = model.score(text, [" the ship", " nothing" * 9])
                assert logprobs(scores)[1] == near(alone.score(text, " nothing" * 9))
            if sure == 3:
                break
        assert sure

    def test_answers_held_to_a_schema_between_scores(self, checked: Checked) -> None:
        for number in range(6):
            text = STORY * (number % 3)
            answer = checked.model.generate(
                question(text), schema=ANSWER, max_tokens=60, temperature=1.0, seed=number
            )
            assert json.loads(answer.text) in ANSWER["enum"]
            checked(text or "the", [" the ship", " nothing"])

    def test_a_conversation_goes_on(self, model: LanguageModel, path: Path) -> None:
        turns = question(STORY * 2)
        for number in range(3):
            answer = model.generate(turns, max_tokens=10, temperature=1.0, seed=number)
            turns += [Message(role="assistant", content=answer.text), *question("And then?")]
        fresh = LlamaCppModel(path, threads=1)
        try:
            held = {"type": "string", "maxLength": 5}
            ours, theirs = (
                one.generate(turns, max_tokens=20, schema=held, temperature=0.01) for one in (model, fresh)
            )
            assert ours.text == theirs.text
        finally:
            fresh.close()


class Listener:
    """Cancels after so many pieces of an answer."""

    def __init__(self, moment: int) -> None:
        self.cancellation = Cancellation()
        self.pieces: list[str] = []
        self._moment = moment

    def __call__(self, piece: str) -> None:
        self.pieces.append(piece)
        if len(self.pieces) == self._moment:
            self.cancellation.cancel()


@contextlib.contextmanager
def cancelling(cancellation: Cancellation, *, after: float) -> Iterator[None]:
    timer = threading.Timer(after, cancellation.cancel)
    timer.start()
    yield
    timer.join()


class TestCancelling:
    def test_after_a_cancelled_answer_all_is_right(self, checked: Checked) -> None:
        for number, moment in enumerate((1, 2, 5)):
            listener = Listener(moment)
            answer = checked.model.generate(
                question(LONG),
                max_tokens=200,
                temperature=1.0,
                seed=number,
                on_text=listener,
                cancellation=listener.cancellation,
            )
            assert answer.finish_reason in ("cancelled", "stop")
            assert answer.text == "".join(listener.pieces)
            checked(LONG + "the", [" the ship", "!"])

    def test_after_cancelled_scoring_all_is_right(self, checked: Checked) -> None:
        continuations = [f" number {number} {STORY}" for number in range(60)]
        cancelled = 0
        for number in range(12):
            cancellation = Cancellation()
            with cancelling(cancellation, after=0.002 * number):
                try:
                    checked.model.score(LONG + f"{number} owls", continuations, cancellation=cancellation)
                except CallCancelledError:
                    cancelled += 1
            checked(LONG + f"{number} owls", [" the ship", "!"])
            checked(LONG, [" the ship", "!"])
        assert cancelled

    def test_what_was_cancelled_before_it_began_does_nothing(self, checked: Checked) -> None:
        checked(LONG, [" the ship"])
        cancellation = Cancellation()
        cancellation.cancel()
        before = checked.model.usage
        with pytest.raises(CallCancelledError):
            checked.model.score(STORY, [" the ship"], cancellation=cancellation)
        assert checked.model.generate(question("a"), cancellation=cancellation).finish_reason == "cancelled"
        assert (checked.model.usage - before).completion_tokens == 0
        checked(LONG, [" the ship"])

    def test_a_listener_that_raises_ends_the_call_and_does_no_harm(self, checked: Checked) -> None:
        def refuse(_: str) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            checked.model.generate(question(LONG), max_tokens=50, temperature=1.0, on_text=refuse)
        checked(LONG, [" the ship", "!"])

    def test_what_is_cancelled_is_the_call_and_no_other(self, checked: Checked) -> None:
        checked(LONG, [" the ship"])
        stop = threading.Event()
        failures: list[BaseException] = []

        def cancel_again_and_again() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                cancellation = Cancellation()
                with cancelling(cancellation, after=0.0005 * (number % 7)):
                    try:
                        checked.model.score(f"{number} {LONG}", CONTINUATIONS, cancellation=cancellation)
                    except CallCancelledError:
                        pass
                    except BaseException as failure:
                        failures.append(failure)
                        return

        threads = [threading.Thread(target=cancel_again_and_again) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for number in range(10):
                checked(LONG[: 60 + number], [" the ship", "!"])
        finally:
            stop.set()
            for thread in threads:
                thread.join(60)
        assert not failures

    def test_a_cancellation_that_comes_too_late_does_nothing(self, checked: Checked) -> None:
        cancellation = Cancellation()
        checked.model.score(LONG, [" the ship"], cancellation=cancellation)
        cancellation.cancel()
        checked(LONG + " owl", [" the ship"])


class TestErrorsOfTheEngine:
    @pytest.mark.parametrize(("moment", "code"), [(1, 1), (2, -3), (1, 2), (2, 2), (3, 2)])
    def test_after_a_failed_evaluation_all_is_right(
        self, checked: Checked, monkeypatch: pytest.MonkeyPatch, moment: int, code: int
    ) -> None:
        import llama_cpp

        checked(LONG, [" the ship"])
        decode, calls = llama_cpp.llama_decode, []

        def failing(*arguments: object) -> int:
            calls.append(arguments)
            if len(calls) != moment:
                return int(decode(*arguments))
            # What was broken off has moved a recurrent state by then.
            if code == BROKEN_OFF:
                decode(*arguments)
            return code

        with monkeypatch.context() as patched:
            patched.setattr(llama_cpp, "llama_decode", failing)
            with pytest.raises((ModelError, CallCancelledError)):
                checked.model.score(LONG + " and", [f" ship {number} " + "x" * 200 for number in range(20)])
        checked(LONG + " and", [" the ship", "!"])
        checked(LONG, [" the ship", "!"])


class TestThreads:
    def test_several_kinds_at_once_in_several_threads(
        self,
        gguf_of: Callable[..., Path],
        open_tiny: Callable[..., LlamaCppModel],
        alone_in: Callable[[Path], OneByOne],
    ) -> None:
        paths = [gguf_of(architecture=kind) for kind in ("gemma3", "mamba", "lfm2", "mamba")]
        checks = [Checked(open_tiny(path), alone_in(path)) for path in paths]
        texts = [(LONG[: 40 + 30 * number], [" the ship", "!" * (number + 1)]) for number in range(6)]
        for check in checks:
            for prefix, continuations in texts:
                for continuation in continuations:
                    check.alone.score(prefix, continuation)
        failures: list[BaseException] = []

        def work(turn: int) -> None:
            try:
                for number in range(24):
                    checks[(turn + number) % len(checks)](*texts[(turn * 5 + number) % len(texts)])
            except BaseException as failure:
                failures.append(failure)

        threads = [threading.Thread(target=work, args=(turn,)) for turn in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not failures
        assert not any(thread.is_alive() for thread in threads)


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() <= before
