"""States of prefixes: bounded in memory and on disk, private, shared by processes, and never damaged."""

from __future__ import annotations

import json
import logging
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.llm.prefix_states import LEAST_TOKENS, PrefixState, PrefixStates, shared_length

AMPLE = 10_000_000
LONG = tuple(range(1000, 1000 + LEAST_TOKENS))
TOKENS = st.lists(st.integers(0, 2), max_size=5).map(tuple)

needs_modes = pytest.mark.skipif(os.name == "nt", reason="this system has no such permissions")


def state_of(tokens: tuple[int, ...], *, size: int = 64, logits: int = 0) -> PrefixState:
    """One whose bytes tell which it is."""
    generator = np.random.default_rng(abs(hash((tokens, size))))
    return PrefixState(
        tokens,
        generator.integers(0, 256, size, np.uint8),
        generator.normal(size=logits).astype(np.float32) if logits else None,
    )


def same(one: PrefixState | None, other: PrefixState) -> bool:
    """Whether two states are equal to the last byte."""
    if one is None or one.tokens != other.tokens or not np.array_equal(one.data, other.data):
        return False
    return np.array_equal(
        one.logits if one.logits is not None else [], other.logits if other.logits is not None else []
    )


def in_memory(most_bytes: int = AMPLE) -> PrefixStates:
    return PrefixStates(most_bytes=most_bytes)


def on_disk(folder: Path, fingerprint: str = "model", **options: Any) -> PrefixStates:
    """Keeps nothing in memory, so that all it finds was read from a file."""
    return PrefixStates(**{"most_bytes": 0, "folder": folder, "fingerprint": fingerprint, **options})


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.iterdir())


class TestSharedLength:
    @given(TOKENS, TOKENS)
    def test_it_is_the_longest_common_beginning(self, one: tuple[int, ...], other: tuple[int, ...]) -> None:
        expected = max(end for end in range(min(len(one), len(other)) + 1) if one[:end] == other[:end])
        assert shared_length(one, other) == shared_length(other, one) == expected
        assert shared_length(list(one), other) == expected


class TestInMemory:
    def test_the_least_recently_used_go_first(self) -> None:
        states = in_memory(300)
        a, b, c, d = (state_of((n, n), size=100) for n in range(4))
        for state in (a, b, c):
            states.keep(state)
        assert states.find(a.tokens, whole=True) is a
        states.keep(d)
        assert states.find(b.tokens, whole=True) is None
        assert [states.find(state.tokens, whole=True) for state in (a, c, d)] == [a, c, d]

    def test_logits_count_as_well(self) -> None:
        states = in_memory(1000)
        first, second = (state_of((n,), size=100, logits=100) for n in range(2))
        assert first.size == 500
        states.keep(first)
        states.keep(second)
        assert states.find((0,), whole=True) is first
        states.keep(state_of((2,), size=1))
        assert states.find((1,), whole=True) is None

    def test_one_larger_than_all_drives_nothing_out(self, tmp_path: Path) -> None:
        small, large = state_of((1, 2), size=50), state_of(LONG, size=500)
        for states in (in_memory(100), PrefixStates(most_bytes=100, folder=tmp_path)):
            states.keep(small)
            states.keep(large)
            states.find(LONG, whole=True)
            assert states.find((1, 2), whole=True) is small

    def test_what_only_the_head_of_all_texts_has_in_common_is_no_use_of_a_state(self) -> None:
        """A template begins alike for everybody: being looked past must not keep a state."""
        states = in_memory(200)
        old, new = state_of((9, 9, 1, 1), size=100), state_of((9, 9, 2, 2), size=100)
        states.keep(old)
        states.keep(new)
        assert states.find((9, 9, 3, 3), whole=False, beyond=2) is None
        states.keep(state_of((9, 9, 3, 3), size=100))
        assert states.find(old.tokens, whole=False, beyond=2) is None
        assert states.find(new.tokens, whole=False, beyond=2) is new

    @pytest.mark.parametrize("whole", [False, True])
    def test_the_longest_beginning_wins(self, whole: bool) -> None:
        states = in_memory()
        short, middle, longer = (state_of((1, 2, 3, 4, 5)[:end]) for end in (2, 3, 5))
        for state in (middle, longer, short):
            states.keep(state)
        assert states.find((1, 2, 3, 4, 5, 6), whole=whole) is longer
        assert states.find((1, 2, 3, 9), whole=True) is middle
        assert states.find((1, 2, 9), whole=True) is short
        assert states.find((1,), whole=True) is None
        assert states.find((2, 3), whole=whole) is None
        assert states.find((), whole=whole) is None

    def test_without_whole_a_part_of_a_state_serves(self) -> None:
        states = in_memory()
        states.keep(state_of((1, 2, 3, 4)))
        found = states.find((1, 2, 9), whole=False)
        assert found is not None
        assert found.tokens == (1, 2, 3, 4)
        assert states.find((1, 2, 9), whole=False, beyond=2) is None
        assert states.find((1, 2, 9), whole=True) is None

    def test_the_same_tokens_are_kept_once_and_as_last_given(self) -> None:
        states = in_memory(250)
        first, again = state_of((1, 2), size=100), state_of((1, 2), size=120)
        other = state_of((3,), size=100)
        for state in (first, other, again):
            states.keep(state)
        assert states.find((1, 2), whole=True) is again
        assert states.find((3,), whole=True) is other

    def test_dropped_and_cleared_ones_are_gone(self) -> None:
        states = in_memory()
        first, second = state_of((1,)), state_of((2,))
        states.keep(first)
        states.keep(second)
        states.drop(first)
        states.drop(first)
        assert states.find((1,), whole=False) is None
        assert states.find((2,), whole=False) is second
        states.clear()
        assert states.find((2,), whole=False) is None

    def test_longer_ones_than_a_context_holds_are_not_offered(self, tmp_path: Path) -> None:
        text = (*LONG, 1, 2, 3)
        fitting, long = state_of(text[:-2]), state_of(text)
        for states in (in_memory(), on_disk(tmp_path)):
            states.keep(fitting)
            states.keep(long)
            for whole in (False, True):
                assert same(states.find(text, whole=whole, longest=len(text)), long)
                assert same(states.find(text, whole=whole, longest=len(text) - 1), fitting)
                assert states.find(text, whole=whole, longest=len(fitting.tokens) - 1) is None
        assert len(files_in(tmp_path)) == 2

    def test_what_memory_has_no_room_for_is_kept_only_where_it_is_to_keep_none(self, tmp_path: Path) -> None:
        states = on_disk(tmp_path / "both", most_bytes=100, folder_bytes=2000)
        assert [states.has_room_for(size) for size in (100, 101)] == [True, False]
        states.keep(state_of(LONG, size=101))
        assert not (tmp_path / "both").exists()
        states.keep(state_of(LONG, size=100))
        assert len(files_in(tmp_path / "both")) == 1

    def test_room(self, tmp_path: Path) -> None:
        assert [in_memory(100).has_room_for(size) for size in (0, 100, 101)] == [True, True, False]
        assert on_disk(tmp_path, folder_bytes=200).has_room_for(200)
        assert not on_disk(tmp_path, folder_bytes=200).has_room_for(201)

    @given(
        st.lists(st.tuples(st.sampled_from(["keep", "find", "whole", "drop", "clear"]), TOKENS), max_size=40)
    )
    def test_it_does_what_a_plain_list_would(self, steps: list[tuple[str, tuple[int, ...]]]) -> None:
        states, bound = in_memory(500), 500
        model: list[PrefixState] = []
        for action, tokens in steps:
            if action == "keep":
                state = state_of(tokens, size=40 + 150 * len(tokens))
                states.keep(state)
                model = [kept for kept in model if kept.tokens != tokens]
                if state.size <= bound:
                    model.append(state)
                while sum(kept.size for kept in model) > bound:
                    del model[0]
            elif action == "drop":
                for state in [kept for kept in model if kept.tokens == tokens]:
                    states.drop(state)
                    model.remove(state)
            elif action == "clear":
                states.clear()
                model.clear()
            else:
                whole = action == "whole"
                reaches = [
                    0
                    if whole and tokens[: len(kept.tokens)] != kept.tokens
                    else shared_length(kept.tokens, tokens)
                    for kept in model
                ]
                found = states.find(tokens, whole=whole)
                if found is None:
                    assert not any(reaches)
                else:
                    assert reaches[model.index(found)] == max(reaches) > 0
                    model.remove(found)
                    model.append(found)


class TestFolder:
    @pytest.mark.parametrize("logits", [0, 7])
    @pytest.mark.parametrize("size", [1, 1001])
    def test_another_instance_reads_what_was_written(self, tmp_path: Path, size: int, logits: int) -> None:
        state = state_of(LONG, size=size, logits=logits)
        on_disk(tmp_path).keep(state)
        for _ in range(2):
            other = on_disk(tmp_path)
            assert same(other.find(LONG, whole=True), state)
            assert same(other.find((*LONG, 1, 2), whole=True), state)
            assert same(other.find((*LONG[:-1], 2), whole=False), state)
            assert other.find((*LONG[:-1], 2), whole=True) is None
            assert other.find(LONG, whole=True, beyond=len(LONG)) is None
        other.keep(state)
        assert len(files_in(tmp_path)) == 1

    def test_what_is_longer_in_memory_is_not_read(self, tmp_path: Path) -> None:
        on_disk(tmp_path).keep(state_of(LONG))
        states = PrefixStates(most_bytes=AMPLE, folder=tmp_path, fingerprint="model")
        longer = state_of((*LONG, 1))
        states.keep(longer)
        assert states.find((*LONG, 1), whole=True) is longer

    def test_what_was_read_stays_in_memory(self, tmp_path: Path) -> None:
        on_disk(tmp_path).keep(state_of(LONG))
        states = PrefixStates(most_bytes=AMPLE, folder=tmp_path, fingerprint="model")
        found = states.find(LONG, whole=True)
        for file in files_in(tmp_path):
            file.unlink()
        assert found is not None
        assert states.find(LONG, whole=True) is found
        states.clear()
        assert states.find(LONG, whole=True) is None

    def test_the_states_of_another_model_are_left_alone(self, tmp_path: Path) -> None:
        ours, theirs = state_of(LONG, size=10), state_of(LONG, size=20)
        on_disk(tmp_path, "ours").keep(ours)
        assert on_disk(tmp_path, "theirs").find(LONG, whole=False) is None
        on_disk(tmp_path, "theirs").keep(theirs)
        assert same(on_disk(tmp_path, "ours").find(LONG, whole=True), ours)
        assert same(on_disk(tmp_path, "theirs").find(LONG, whole=True), theirs)
        refusing = on_disk(tmp_path, "ours")
        refusing.drop(ours)
        assert refusing.find(LONG, whole=True) is None
        assert same(on_disk(tmp_path, "theirs").find(LONG, whole=True), theirs)

    @pytest.mark.parametrize("most_bytes", [0, AMPLE])
    def test_one_that_was_refused_stays_for_others_and_is_not_offered_again(
        self, tmp_path: Path, most_bytes: int
    ) -> None:
        state, shorter = state_of((*LONG, 1)), state_of(LONG)
        for each in (state, shorter):
            on_disk(tmp_path).keep(each)
        before = {file: file.read_bytes() for file in files_in(tmp_path)}
        states = on_disk(tmp_path, most_bytes=most_bytes)
        found = states.find(state.tokens, whole=True)
        assert found is not None
        assert same(found, state)
        states.drop(found)
        for whole in (False, True):
            assert same(states.find(state.tokens, whole=whole), shorter)
        states.clear()
        # What this process would write in its place is no better for others.
        states.keep(state_of(state.tokens, size=99))
        states.clear()
        assert same(states.find(state.tokens, whole=True), shorter)
        assert {file: file.read_bytes() for file in files_in(tmp_path)} == before
        assert same(on_disk(tmp_path).find(state.tokens, whole=True), state)

    def test_a_file_under_another_models_name_is_not_believed(self, tmp_path: Path) -> None:
        on_disk(tmp_path, "theirs").keep(state_of(LONG))
        (theirs,) = files_in(tmp_path)
        on_disk(tmp_path, "ours").keep(state_of(LONG, size=9))
        (ours,) = set(files_in(tmp_path)) - {theirs}
        theirs.replace(ours)
        assert on_disk(tmp_path, "ours").find(LONG, whole=True) is None
        assert files_in(tmp_path) == []

    @needs_modes
    def test_only_the_user_can_read_and_list_them(self, tmp_path: Path) -> None:
        folder = tmp_path / "made" / "states"
        before = os.umask(0)
        try:
            on_disk(folder).keep(state_of(LONG))
        finally:
            os.umask(before)
        (file,) = files_in(folder)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700

    @needs_modes
    @pytest.mark.parametrize("mode", [0o770, 0o702, 0o720, 0o777, 0o1777])
    def test_a_folder_that_others_may_write_to_is_not_used_and_told_once(
        self, tmp_path: Path, mode: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        folder = tmp_path / "states"
        on_disk(folder).keep(state_of(LONG))
        (file,) = files_in(folder)
        folder.chmod(mode)
        states = on_disk(folder)
        for number in range(3):
            assert states.find(LONG, whole=True) is None
            states.keep(state_of((*LONG, number)))
            assert not states.outlive_the_process
            assert not states.has_room_for(1)
        assert files_in(folder) == [file]
        (record,) = caplog.records
        assert record.levelname == "WARNING"
        assert f"chmod 700 '{folder}'" in record.getMessage()
        assert "choose another folder" in record.getMessage()
        in_memory_too = on_disk(folder, most_bytes=AMPLE)
        in_memory_too.keep(state := state_of((1, *LONG)))
        assert in_memory_too.find(state.tokens, whole=True) is state
        folder.chmod(0o755)
        assert states.outlive_the_process
        assert states.find(LONG, whole=True) is not None

    @needs_modes
    def test_a_folder_of_another_user_is_not_used(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        on_disk(tmp_path).keep(state_of(LONG))
        user = os.geteuid()
        monkeypatch.setattr(os, "geteuid", lambda: user + 1)
        states = on_disk(tmp_path)
        for number in range(2):
            assert states.find(LONG, whole=True) is None
            states.keep(state_of((*LONG, number)))
        assert len(files_in(tmp_path)) == 1
        (record,) = caplog.records
        assert "belongs to another user" in record.getMessage()

    def test_the_least_recently_used_files_go_first(self, tmp_path: Path) -> None:
        texts = [(*LONG, number) for number in range(4)]
        room = 3 * 1300
        for number, text in enumerate(texts[:3]):
            on_disk(tmp_path, f"model {number % 2}", folder_bytes=room).keep(state_of(text, size=700))
        assert len(files_in(tmp_path)) == 3
        for age, text in enumerate(texts[:3]):
            states = on_disk(tmp_path, f"model {age % 2}")
            (path,) = (
                file
                for file in files_in(tmp_path)
                if file.name == states._files._name(text)  # type: ignore[union-attr]
            )
            os.utime(path, (time.time() - 100 + age,) * 2)
        assert on_disk(tmp_path, "model 0").find(texts[0], whole=True) is not None
        on_disk(tmp_path, "model 1", folder_bytes=room).keep(state_of(texts[3], size=700))
        found = [
            on_disk(tmp_path, f"model {number % 2}").find(text, whole=True) is not None
            for number, text in enumerate(texts)
        ]
        assert found == [True, False, True, True]

    def test_one_larger_than_the_folder_may_be_drives_nothing_out(self, tmp_path: Path) -> None:
        small = state_of(LONG, size=100)
        states = on_disk(tmp_path, folder_bytes=2000, most_bytes=AMPLE)
        states.keep(small)
        states.keep(state_of((1, *LONG), size=5000))
        assert same(on_disk(tmp_path).find(LONG, whole=True), small)
        assert len(files_in(tmp_path)) == 1

    def test_files_of_others_are_left_alone(self, tmp_path: Path) -> None:
        for name in ("notes.txt", "priors.sqlite3", ".hidden"):
            (tmp_path / name).write_text("x" * 5000)
        states = on_disk(tmp_path, folder_bytes=1000)
        states.keep(state_of(LONG))
        states.keep(state_of((1, *LONG)))
        assert {"notes.txt", "priors.sqlite3", ".hidden"} < {file.name for file in files_in(tmp_path)}


class TestForgetting:
    def test_memory_and_files_of_every_model_go(self, tmp_path: Path) -> None:
        on_disk(tmp_path, "theirs").keep(state_of(LONG))
        states = on_disk(tmp_path, most_bytes=AMPLE)
        states.keep(state_of((*LONG, 1)))
        states.keep(state_of((*LONG, 2)))
        assert states.forget() == 2 + 3
        assert states.find((*LONG, 1), whole=False) is None
        assert on_disk(tmp_path, "theirs").find(LONG, whole=True) is None
        assert states.forget() == 0
        assert not states.were_forgotten()

    def test_without_a_folder_memory_goes(self) -> None:
        states = in_memory()
        states.keep(state_of((1, 2)))
        assert states.forget() == 1
        assert states.find((1, 2), whole=True) is None
        assert not states.were_forgotten()

    def test_what_is_read_afterwards_is_kept(self, tmp_path: Path) -> None:
        states = on_disk(tmp_path)
        states.keep(state_of(LONG))
        states.forget()
        states.keep(state_of(LONG))
        assert same(states.find(LONG, whole=True), state_of(LONG))
        assert same(on_disk(tmp_path).find(LONG, whole=True), state_of(LONG))

    def test_other_processes_learn_it_once_and_drop_their_memory(self, tmp_path: Path) -> None:
        other = on_disk(tmp_path / "states", most_bytes=AMPLE)
        other.keep(state_of((1, 2)))
        on_disk(tmp_path / "states").forget()
        assert other.were_forgotten()
        assert other.find((1, 2), whole=True) is None
        assert not other.were_forgotten()
        assert not on_disk(tmp_path / "states").were_forgotten()

    def test_what_another_process_writes_meanwhile_does_not_stay(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Before its file has its name, and after."""
        replace = Path.replace
        for first in (True, False):
            on_disk(tmp_path).forget()
            writer = on_disk(tmp_path)

            def forget_meanwhile(path: Path, target: Path, first: bool = first) -> Path:
                if first:
                    on_disk(tmp_path).forget()
                    return replace(path, target)
                found = replace(path, target)
                on_disk(tmp_path).forget()
                return found

            monkeypatch.setattr(Path, "replace", forget_meanwhile)
            writer.keep(state_of(LONG))
            monkeypatch.setattr(Path, "replace", replace)
            assert list(tmp_path.glob("*.prefix")) == []
            assert writer.were_forgotten()
            writer.keep(state_of(LONG))
            assert same(on_disk(tmp_path).find(LONG, whole=True), state_of(LONG))
        assert caplog.records == []

    def test_what_is_kept_of_before_it_is_not_written(self, tmp_path: Path) -> None:
        writer = on_disk(tmp_path)
        on_disk(tmp_path).forget()
        writer.keep(state_of(LONG))
        assert list(tmp_path.glob("*.prefix")) == []


def _flipped(at: int) -> Callable[[bytes], bytes]:
    def flip(content: bytes) -> bytes:
        place = at % len(content)
        return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]

    return flip


def _with_header(**changes: Any) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        line, body = content.split(b"\n", 1)
        return json.dumps({**json.loads(line), **changes}).encode() + b"\n" + body

    return change


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut in the header": lambda content: content[:9],
    "without bytes": lambda content: content.split(b"\n")[0] + b"\n",
    "cut in the tokens": lambda content: content[: content.index(b"\n") + 41],
    "cut in the logits": lambda content: content[: content.index(b"\n") + 4 * len(LONG) + 9],
    "cut at the end": lambda content: content[:-1],
    "longer": lambda content: content + b"\0",
    "a flipped token": lambda content: _flipped(content.index(b"\n") + 1)(content),
    "a flipped logit": lambda content: _flipped(content.index(b"\n") + 1 + 4 * len(LONG))(content),
    "a flipped byte of the state": _flipped(-5),
    "no JSON": lambda content: b"not JSON\n" + content,
    "no UTF-8": lambda content: b"\xff\xfe" + content,
    "JSON of another kind": lambda content: b"[1, 2]\n" + content,
    "JSON without end": lambda _: b"[" * 4096,
    "no line": lambda _: b"x" * 20_000,
    "fewer tokens than were written": _with_header(tokens=len(LONG) - 1),
    "fewer logits than were written": _with_header(logits=3),
    "tokens taken for logits": _with_header(tokens=len(LONG) - 4, logits=11),
    "no tokens": _with_header(tokens=0),
    "negative tokens": _with_header(tokens=-1),
    "negative logits": _with_header(logits=-1),
    "more tokens than any memory holds": _with_header(tokens=10**15),
    "tokens without end": _with_header(tokens=float("inf")),
    "tokens that are no number": _with_header(tokens="many"),
    "logits that are no whole number": _with_header(logits=1.5),
    "another hash": _with_header(sha256="0" * 64),
    "a hash of another kind": _with_header(sha256=None),
}


class TestDamagedFiles:
    @pytest.mark.parametrize("damage", DAMAGES)
    def test_they_are_not_used_but_removed_and_written_again(
        self, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        state = state_of(LONG, size=333, logits=7)
        on_disk(tmp_path).keep(state)
        (file,) = files_in(tmp_path)
        file.write_bytes(DAMAGES[damage](file.read_bytes()))
        states = on_disk(tmp_path)
        with caplog.at_level(logging.WARNING):
            assert states.find((*LONG, 5), whole=False) is None
            if damage == "a flipped token":
                # Of the text it says it is, it is not either.
                (held,) = [tokens for tokens in states._files._tokens.values() if tokens] or [LONG]  # type: ignore[union-attr]
                assert states.find(held, whole=False) is None
        assert str(file) in caplog.text
        assert files_in(tmp_path) == []
        states.keep(state)
        assert same(on_disk(tmp_path).find(LONG, whole=True), state)

    def test_no_flipped_byte_anywhere_goes_unseen(self, tmp_path: Path) -> None:
        state = state_of(LONG, size=40, logits=3)
        on_disk(tmp_path).keep(state)
        (file,) = files_in(tmp_path)
        content = file.read_bytes()
        for place in range(len(content)):
            file.write_bytes(_flipped(place)(content))
            found = on_disk(tmp_path).find(LONG, whole=False)
            # White space and the spelling of a hash may differ; what is read may not.
            assert found is None or same(found, state), place

    def test_one_that_cannot_be_removed_is_told_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        on_disk(tmp_path).keep(state_of(LONG))
        (file,) = files_in(tmp_path)
        file.write_bytes(file.read_bytes() + b"!")
        states = on_disk(tmp_path)

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "unlink", refuse)
        for _ in range(3):
            assert states.find(LONG, whole=True) is None
        assert len(caplog.records) == 1

    @pytest.mark.parametrize("moment", ["before it is listed", "before it is read"])
    def test_one_that_vanishes_is_no_news(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, moment: str
    ) -> None:
        on_disk(tmp_path).keep(state_of(LONG))
        states = on_disk(tmp_path)
        opened, calls = Path.open, []

        def vanish(path: Path, *arguments: Any, **options: Any) -> Any:
            calls.append(path)
            if len(calls) == (1 if moment == "before it is listed" else 2):
                path.unlink()
            return opened(path, *arguments, **options)

        monkeypatch.setattr(Path, "open", vanish)
        assert states.find(LONG, whole=True) is None
        assert calls
        assert not caplog.records
        state = state_of(LONG)
        states.keep(state)
        assert same(states.find(LONG, whole=True), state)


class TestTroubleWithTheDisk:
    def test_a_folder_that_cannot_be_made_is_told_once(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "file").write_text("in the way")
        states = on_disk(tmp_path / "file" / "states", most_bytes=AMPLE)
        for number in range(3):
            state = state_of((*LONG, number))
            states.keep(state)
            assert states.find(state.tokens, whole=True) is state
        assert len(caplog.records) == 1
        assert "not kept in" in caplog.text

    @pytest.mark.parametrize("moment", [1, 2, 4])
    def test_a_full_disk_is_told_once_and_leaves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, moment: int
    ) -> None:
        states = on_disk(tmp_path, most_bytes=AMPLE)
        fdopen = os.fdopen

        def full(*arguments: Any) -> Any:
            file, written = fdopen(*arguments), []

            class Full:
                def __enter__(self) -> Full:
                    return self

                def __exit__(self, *_: object) -> None:
                    file.close()

                def write(self, data: bytes) -> None:
                    written.append(data)
                    if len(written) == moment:
                        raise OSError(28, "No space left on device")
                    file.write(data)

            return Full()

        with monkeypatch.context() as patched:
            patched.setattr(os, "fdopen", full)
            for number in range(3):
                states.keep(state_of((*LONG, number), logits=3))
        assert files_in(tmp_path) == []
        assert len(caplog.records) == 1
        state = state_of((*LONG, 9))
        states.keep(state)
        assert same(on_disk(tmp_path).find(state.tokens, whole=True), state)

    def test_what_a_killed_process_left_is_removed_when_it_is_old(self, tmp_path: Path) -> None:
        code = f"""
import os, pathlib, signal, sys
import numpy as np
from llmrec.llm.prefix_states import PrefixState, PrefixStates
pathlib.Path.replace = lambda *_: os._exit(9)
states = PrefixStates(most_bytes=0, folder=pathlib.Path(sys.argv[1]), fingerprint="model")
states.keep(PrefixState({LONG!r}, np.zeros(1000, np.uint8), None))
"""
        done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=60, check=False)
        assert done.returncode == 9
        (left,) = files_in(tmp_path)
        on_disk(tmp_path).keep(state_of(LONG))
        assert left.exists(), "a process may still be at work on it"
        os.utime(left, (time.time() - 5000,) * 2)
        on_disk(tmp_path).keep(state_of((*LONG, 1)))
        assert not left.exists()
        assert len(files_in(tmp_path)) == 2


class TestSharing:
    def test_threads_with_one_folder(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """Each with its own memory, as several models have; the bound holds files back all the time."""
        texts = [(*LONG, number) for number in range(6)]
        expected = {text: state_of(text, size=2000, logits=5) for text in texts}
        failures: list[BaseException] = []
        found = []

        def work(turn: int) -> None:
            try:
                states = on_disk(tmp_path, folder_bytes=3 * 2700)
                for number in range(60):
                    text = texts[(turn * 5 + number * (turn + 1)) % len(texts)]
                    state = states.find(text, whole=True)
                    if state is None:
                        states.keep(expected[text])
                    else:
                        found.append(text)
                        assert same(state, expected[text])
            except BaseException as failure:
                failures.append(failure)

        threads = [threading.Thread(target=work, args=(turn,)) for turn in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not failures
        assert found
        assert not caplog.records
        assert sum(file.stat().st_size for file in files_in(tmp_path)) <= 3 * 2700

    def test_processes_with_one_folder(self, tmp_path: Path) -> None:
        code = """
import pathlib, sys
import numpy as np
from llmrec.llm.prefix_states import PrefixState, PrefixStates
turn = int(sys.argv[2])
for number in range(80):
    folder = pathlib.Path(sys.argv[1])
    states = PrefixStates(most_bytes=0, folder=folder, fingerprint="model", folder_bytes=40_000)
    tokens = tuple(range(1000, 1100)) + ((number + turn) % 7,)
    found = states.find(tokens, whole=True)
    if found is None:
        states.keep(PrefixState(tokens, np.full(9000, tokens[-1], np.uint8), None))
    else:
        assert found.tokens == tokens and len(found.data) == 9000 and (found.data == tokens[-1]).all()
    if number % 11 == 10:
        states.drop(PrefixState(tokens, np.zeros(0, np.uint8), None))
"""
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", code, str(tmp_path), str(turn)], stderr=subprocess.PIPE, text=True
            )
            for turn in range(2)
        ]
        for worker in workers:
            _, errors = worker.communicate(timeout=60)
            assert worker.returncode == 0, errors
            assert errors == ""
        assert 0 < len(files_in(tmp_path)) <= 4
