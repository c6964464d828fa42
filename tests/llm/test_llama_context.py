"""A model's cache of keys and values: what is evaluated, what is remembered, and what a failure leaves."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from llmrec.errors import CallCancelledError, ContextLengthError, ModelError
from llmrec.llm.prefix_states import LEAST_TOKENS, PrefixStates

pytest.importorskip("llama_cpp")
pytest.importorskip("gguf")

import llama_cpp

from llmrec.llm.llama_context import BATCH_TOKENS, LlamaContext

AMPLE = 100_000_000
FIRST_TOKEN, LAST_TOKEN = 5, 250
# Half floats in the cache, in batches of other shapes; the logits of these models spread over tens.
ROUNDING = 0.25


def text(number: int, length: int) -> list[int]:
    """Tokens of a text of its own."""
    generator = random.Random(number)
    return [generator.randrange(FIRST_TOKEN, LAST_TOKEN) for _ in range(length)]


A, B, C = (text(number, LEAST_TOKENS + 30) for number in (1, 2, 3))

Opener = Callable[..., LlamaContext]


@pytest.fixture
def open_context(tiny_gguf: Path) -> Iterator[Opener]:
    opened: list[LlamaContext] = []

    def open_one(path: Path = tiny_gguf, states: PrefixStates | None = None, **options: Any) -> LlamaContext:
        settings = {"context_length": 2048, "threads": 1, "repack": False, **options}
        opened.append(LlamaContext(path, states=states or PrefixStates(most_bytes=AMPLE), **settings))
        return opened[-1]

    yield open_one
    for context in opened:
        context.close()


@pytest.fixture
def context(open_context: Opener) -> LlamaContext:
    return open_context()


@pytest.fixture
def fresh(open_context: Opener) -> Callable[[Sequence[int]], npt.NDArray[np.float32]]:
    """The logits of a context that holds nothing."""
    reference = open_context(states=PrefixStates(most_bytes=0))

    def evaluate(tokens: Sequence[int]) -> npt.NDArray[np.float32]:
        reference.forget()
        return reference.evaluate(tokens)

    return evaluate


def rows_of(context: LlamaContext, tokens: Sequence[int]) -> int:
    """How many tokens are evaluated for a text now."""
    before = context.rows_evaluated
    context.evaluate(tokens)
    return context.rows_evaluated - before


class TestEvaluate:
    def test_what_comes_back_is_the_callers_own(self, context: LlamaContext) -> None:
        first = context.evaluate(A)
        expected = first.copy()
        first[:] = 0
        again = context.evaluate(A)
        assert np.array_equal(again, expected)
        again -= 5
        context.evaluate(B)
        assert np.array_equal(context.evaluate(A), expected)

    def test_it_has_one_logit_for_each_token_there_is(self, context: LlamaContext) -> None:
        logits = context.evaluate((7, 8, 9))
        assert logits.shape == (context.vocabulary.size,)
        assert logits.dtype == np.float32

    @pytest.mark.parametrize("length", [1, 2, BATCH_TOKENS - 1, BATCH_TOKENS, BATCH_TOKENS + 1, 2048])
    def test_texts_of_any_length(self, context: LlamaContext, fresh: Callable[..., Any], length: int) -> None:
        tokens = text(4, length)
        assert rows_of(context, tokens) == length
        step = open_by_steps(context, tokens)
        assert step == pytest.approx(fresh(tokens), abs=ROUNDING)

    def test_only_what_is_new_is_evaluated(self, context: LlamaContext) -> None:
        assert rows_of(context, A) == len(A)
        assert rows_of(context, A) == 0
        assert rows_of(context, [*A, 9]) == 1
        assert rows_of(context, [*A, 9, 10, 11]) == 2
        # For what comes next, the last token is evaluated again.
        assert rows_of(context, A) == 1
        assert rows_of(context, A[:50]) == 1
        assert rows_of(context, [*A[:40], 9, 9]) == 2
        assert rows_of(context, [9]) == 1

    def test_going_back_and_on_is_right(self, context: LlamaContext, fresh: Callable[..., Any]) -> None:
        for tokens in (A, A[:70], [*A[:70], 9, 9], A, [*A, *B], B, [*A, *B[:20]], C, A[:1], [*B, 7], A):
            assert context.evaluate(tokens) == pytest.approx(fresh(tokens), abs=ROUNDING)

    def test_nothing_is_told_and_costs_nothing(self, context: LlamaContext) -> None:
        for before in ([], A):
            if before:
                context.evaluate(before)
            with pytest.raises(ModelError, match="nothing to evaluate: give at least one token"):
                context.evaluate([])
        assert rows_of(context, A) == 0


def open_by_steps(context: LlamaContext, tokens: Sequence[int]) -> npt.NDArray[np.float32]:
    """Evaluate a text again, in a few pieces."""
    context.forget()
    for end in range(1, len(tokens), max(len(tokens) // 5, 1)):
        context.evaluate(tokens[:end])
    return context.evaluate(tokens)


class TestStates:
    def test_a_person_comes_back_after_others(self, context: LlamaContext, fresh: Callable[..., Any]) -> None:
        for person in (A, B, C):
            context.evaluate(person)
        for person in (A, B, C, A):
            assert rows_of(context, person) == 0
            assert context.evaluate(person) == pytest.approx(fresh(person), abs=ROUNDING)

    def test_a_state_is_gone_on_from(self, context: LlamaContext, fresh: Callable[..., Any]) -> None:
        context.evaluate(A)
        context.evaluate(B)
        assert rows_of(context, [*A, *C]) == len(C)
        assert context.evaluate([*A, *C]) == pytest.approx(fresh([*A, *C]), abs=ROUNDING)

    @pytest.mark.parametrize("end", [LEAST_TOKENS, 100, 20])
    def test_a_state_is_cut(self, context: LlamaContext, fresh: Callable[..., Any], end: int) -> None:
        context.evaluate(A)
        context.evaluate(B)
        assert rows_of(context, A[:end]) == 1
        assert context.evaluate(A[:end]) == pytest.approx(fresh(A[:end]), abs=ROUNDING)
        context.evaluate(C)
        assert rows_of(context, [*A[:end], 9, 9, 9]) == 3

    def test_a_text_that_was_gone_on_from_is_gone_back_to(
        self, context: LlamaContext, fresh: Callable[..., Any]
    ) -> None:
        """Sequence 0 holds it and more, and a state holds just it."""
        for person in (A, B, [*A, *C], A, [*A, *B], A[:-1], A):
            assert context.evaluate(person) == pytest.approx(fresh(person), abs=ROUNDING)

    def test_the_longest_state_wins(self, context: LlamaContext) -> None:
        family = [*A, *B]
        for person in (A, C, family, C):
            context.forget()
            context.evaluate(person)
            context.evaluate(text(9, 200))
        assert rows_of(context, [*family, 7]) == 1
        context.evaluate(C)
        assert rows_of(context, [*A, 7, 8]) == 2

    @pytest.mark.parametrize("kind", ["gemma3", "mamba", "lfm2"])
    def test_what_cannot_be_cut_serves_as_a_whole(
        self, open_context: Opener, gguf_of: Callable[..., Path], kind: str
    ) -> None:
        path = gguf_of(architecture=kind)
        context, reference = open_context(path), open_context(path, states=PrefixStates(most_bytes=0))
        for person in (A, B, C):
            context.evaluate(person)
        assert rows_of(context, A) == 0
        assert rows_of(context, [*B, *C]) == len(C)
        context.evaluate(C)
        assert rows_of(context, A[:-9]) == len(A) - 9
        for tokens in (A[:-9], A, [*B, 9], C[:100], [*B, *C]):
            reference.forget()
            assert context.evaluate(tokens) == pytest.approx(reference.evaluate(tokens), abs=ROUNDING)

    def test_short_texts_are_not_worth_a_state(self, context: LlamaContext) -> None:
        short, longer = text(7, LEAST_TOKENS - 1), text(8, LEAST_TOKENS)
        for person in (short, longer, B):
            context.evaluate(person)
        assert rows_of(context, longer) == 0
        assert rows_of(context, short) == len(short)

    @pytest.mark.parametrize("room", ["none", "too little"])
    def test_without_room_nothing_is_copied(
        self, open_context: Opener, monkeypatch: pytest.MonkeyPatch, room: str
    ) -> None:
        sizer = open_context()
        sizer.evaluate(A)
        size = llama_cpp.llama_state_seq_get_size(sizer._context, 0)
        copied = []
        get_data = llama_cpp.llama_state_seq_get_data
        monkeypatch.setattr(
            llama_cpp, "llama_state_seq_get_data", lambda *given: copied.append(given) or get_data(*given)
        )
        # With the logits, it is more than the bytes of the state.
        most = 0 if room == "none" else size + 4 * sizer.vocabulary.size - 1
        context = open_context(states=PrefixStates(most_bytes=most))
        context.evaluate(A)
        assert rows_of(context, B) == len(B)
        assert rows_of(context, A) == len(A)
        assert not copied
        enough = open_context(states=PrefixStates(most_bytes=size + 4 * sizer.vocabulary.size))
        enough.evaluate(A)
        enough.evaluate(B)
        assert len(copied) == 1
        assert rows_of(enough, A) == 0

    def test_a_state_that_is_refused_is_dropped(
        self,
        open_context: Opener,
        fresh: Callable[..., Any],
        monkeypatch: pytest.MonkeyPatch,
        tmp_path: Path,
    ) -> None:
        context = open_context(states=PrefixStates(most_bytes=AMPLE, folder=tmp_path, fingerprint="m"))
        context.evaluate(A)
        context.evaluate(B)
        assert len(list(tmp_path.iterdir())) == 1
        refused = []
        with monkeypatch.context() as patched:
            patched.setattr(llama_cpp, "llama_state_seq_set_data", lambda *given: refused.append(given) or 0)
            assert context.evaluate(A) == pytest.approx(fresh(A), abs=ROUNDING)
            assert len(refused) == 1
            context.forget()
            assert rows_of(context, A) == len(A)
            assert len(refused) == 1
        # What was held at that moment was kept, and serves.
        assert rows_of(context, B) == 0

    def test_what_a_context_held_is_kept_on_disk_when_it_is_closed(
        self, open_context: Opener, fresh: Callable[..., Any], tmp_path: Path
    ) -> None:
        def states() -> PrefixStates:
            return PrefixStates(most_bytes=AMPLE, folder=tmp_path, fingerprint="m")

        first = open_context(states=states())
        first.evaluate(A)
        first.close()
        later = open_context(states=states())
        assert rows_of(later, [*A, 9]) == 1
        assert later.evaluate([*A, 9]) == pytest.approx(fresh([*A, 9]), abs=ROUNDING)


class TestBranches:
    def test_they_go_on_from_what_is_held_and_do_not_see_each_other(
        self, context: LlamaContext, fresh: Callable[..., Any]
    ) -> None:
        context.evaluate(A)
        with context.branched(2):
            rows = [(9, len(A), 1, True), (11, len(A), 2, False), (12, len(A) + 1, 2, True)]
            logits = context.decode(rows).copy()
        assert logits[0] == pytest.approx(fresh([*A, 9]), abs=ROUNDING)
        assert logits[1] == pytest.approx(fresh([*A, 11, 12]), abs=ROUNDING)
        assert rows_of(context, A) == 0
        assert context.evaluate([*A, 7]) == pytest.approx(fresh([*A, 7]), abs=ROUNDING)

    def test_they_are_gone_afterwards_also_when_it_fails(self, context: LlamaContext) -> None:
        context.evaluate(A)

        def fail() -> None:
            with context.branched(3):
                context.decode([(9, len(A), (1, 2, 3), False)])
                assert [end(context, number) for number in range(5)] == [*[len(A) - 1], *[len(A)] * 3, -1]
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            fail()
        assert [end(context, number) for number in range(5)] == [len(A) - 1, -1, -1, -1, -1]

    def test_there_can_be_as_many_as_is_said_again_and_again(self, context: LlamaContext) -> None:
        context.evaluate(A)
        for _ in range(40):
            with context.branched(context.branches):
                rows = [(9, len(A), number + 1, True) for number in range(context.branches)]
                logits = context.decode(rows)
                assert len(logits) == context.branches
                assert logits[-1] == pytest.approx(logits[0], abs=ROUNDING)

    def test_closing_inside_ends_well(self, context: LlamaContext) -> None:
        context.evaluate(A)
        with context.branched(3):
            context.close()
        assert not context.is_open


def end(context: LlamaContext, sequence: int) -> int:
    """The last position of a sequence; -1 for one that is empty."""
    return int(llama_cpp.llama_memory_seq_pos_max(context._memory, sequence))


class TestFailures:
    @pytest.mark.parametrize("code", [1, 2, -1, -3])
    def test_after_one_of_the_engine_all_is_right(
        self,
        context: LlamaContext,
        fresh: Callable[..., Any],
        monkeypatch: pytest.MonkeyPatch,
        code: int,
    ) -> None:
        context.evaluate(A)
        context.evaluate(B)
        with monkeypatch.context() as patched:
            patched.setattr(llama_cpp, "llama_decode", lambda *_: code)
            with pytest.raises(CallCancelledError if code == 2 else ModelError):
                context.evaluate([*A, *C])
        # The states outlive it.
        assert rows_of(context, [*A, 9]) == 1
        for tokens in ([*A, *C], B, [*A, 9]):
            assert context.evaluate(tokens) == pytest.approx(fresh(tokens), abs=ROUNDING)

    @pytest.mark.parametrize(
        "name",
        [
            "llama_decode",
            "llama_memory_seq_rm",
            "llama_state_seq_get_size",
            "llama_state_seq_get_data",
            "llama_state_seq_set_data",
            "llama_get_logits",
        ],
    )
    @pytest.mark.parametrize("moment", ["before", "after"])
    @pytest.mark.parametrize("kind", ["llama", "mamba", "gemma3"])
    def test_after_an_interruption_at_any_call_all_is_right(
        self,
        open_context: Opener,
        gguf_of: Callable[..., Path],
        monkeypatch: pytest.MonkeyPatch,
        name: str,
        moment: str,
        kind: str,
    ) -> None:
        path = gguf_of(architecture=kind)
        context, reference = open_context(path), open_context(path, states=PrefixStates(most_bytes=0))
        call = getattr(llama_cpp, name)
        for interrupted_at in (1, 2):
            for tokens, others in (
                ([*A, *C], (A, B)),
                (A[:100], (A, B)),
                ([*B, 9], (B,)),
                ([*B[:99], 9], (B,)),
            ):
                for other in others:
                    context.evaluate(other)
                calls: list[object] = []

                def interrupt(*given: object, calls: list[object] = calls) -> object:
                    calls.append(given)
                    strikes = len(calls) == interrupted_at  # noqa: B023
                    if strikes and moment == "before":
                        raise KeyboardInterrupt
                    result = call(*given)
                    if strikes:
                        raise KeyboardInterrupt
                    return result

                with monkeypatch.context() as patched:
                    patched.setattr(llama_cpp, name, interrupt)
                    with contextlib.suppress(KeyboardInterrupt):
                        context.evaluate(tokens)
                for wanted in ([*tokens, 7], tokens, others[-1]):
                    reference.forget()
                    assert context.evaluate(wanted) == pytest.approx(reference.evaluate(wanted), abs=ROUNDING)

    def test_what_is_aborted_stays_so_until_allowed(
        self, context: LlamaContext, fresh: Callable[..., Any]
    ) -> None:
        context.evaluate(A)
        context.abort()
        for _ in range(2):
            with pytest.raises(CallCancelledError):
                context.evaluate(C)
        context.allow()
        for tokens in (C, A, [*A, *B]):
            assert context.evaluate(tokens) == pytest.approx(fresh(tokens), abs=ROUNDING)

    def test_another_thread_aborts_what_goes_on(self, context: LlamaContext) -> None:
        timer = threading.Timer(0.05, context.abort)
        timer.start()

        def go_on() -> None:
            for number in range(100_000):
                context.evaluate(text(number, 2000))

        with pytest.raises(CallCancelledError):
            go_on()
        timer.join()

    def test_more_than_the_context_holds_is_told(
        self, open_context: Opener, fresh: Callable[..., Any]
    ) -> None:
        small = open_context(context_length=256)
        for length in (257, 400, 600):
            with pytest.raises(ContextLengthError, match="256"):
                small.evaluate(text(3, length))
        assert small.evaluate(A) == pytest.approx(fresh(A), abs=ROUNDING)

    def test_logits_that_are_no_numbers_are_told(self, open_context: Opener, tmp_path: Path) -> None:
        from tests.llm.tiny_gguf import write_tiny_gguf

        states = PrefixStates(most_bytes=AMPLE)
        context = open_context(write_tiny_gguf(tmp_path / "nan.gguf", nan=True), states=states)
        for tokens in (A, A, B):
            with pytest.raises(ModelError, match=r"nan\.gguf computes no numbers"):
                context.evaluate(tokens)
        assert states.find(A, whole=False) is None


class TestClosing:
    def test_afterwards_each_use_is_told(self, context: LlamaContext) -> None:
        context.evaluate(A)
        assert context.is_open
        context.close()
        context.close()
        assert not context.is_open
        for use in (
            lambda: context.evaluate(A),
            lambda: context.decode([(9, 0, 0, True)]),
            context.check_open,
        ):
            with pytest.raises(ModelError, match=r"tiny\.gguf was closed: open it again"):
                use()

    def test_a_file_that_cannot_be_loaded_is_told(self, open_context: Opener, tmp_path: Path) -> None:
        with pytest.raises(ModelError):
            open_context(tmp_path / "nowhere.gguf")
