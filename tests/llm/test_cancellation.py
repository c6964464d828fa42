"""Cancelling from other threads, signal handlers and watchers themselves."""

from __future__ import annotations

import gc
import logging
import signal
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import pytest

from llmrec.errors import CallCancelledError, LlmrecError
from llmrec.llm.cancellation import Cancellation


def test_it_is_cancelled_once_and_for_all() -> None:
    cancellation = Cancellation()
    cancellation.check()
    assert not cancellation.cancelled
    cancellation.cancel()
    cancellation.cancel()
    assert cancellation.cancelled
    with pytest.raises(CallCancelledError) as caught:
        cancellation.check()
    assert caught.value.retry
    assert isinstance(caught.value, LlmrecError)


class TestWatchers:
    def test_each_is_called_once_in_the_thread_that_cancels(self) -> None:
        cancellation, calls = Cancellation(), list[tuple[str, int]]()
        with (
            cancellation.watched_by(lambda: calls.append(("a", threading.get_ident()))),
            cancellation.watched_by(lambda: calls.append(("b", threading.get_ident()))),
        ):
            assert calls == []
            with ThreadPoolExecutor(1) as pool:
                ident = pool.submit(threading.get_ident).result()
                pool.submit(cancellation.cancel).result()
            assert sorted(calls) == [("a", ident), ("b", ident)]
            cancellation.cancel()
        cancellation.cancel()
        assert len(calls) == 2

    def test_one_that_comes_too_late_is_called_at_once(self) -> None:
        cancellation, calls = Cancellation(), list[str]()
        cancellation.cancel()
        with cancellation.watched_by(lambda: calls.append("late")):
            assert calls == ["late"]
        assert calls == ["late"]

    def test_none_is_called_after_its_block(self) -> None:
        cancellation, calls = Cancellation(), list[str]()
        watcher = lambda: calls.append("a")  # noqa: E731
        with cancellation.watched_by(watcher):
            with cancellation.watched_by(watcher):
                pass
            with pytest.raises(ValueError, match="from the block"), cancellation.watched_by(watcher):
                raise ValueError("from the block")
            cancellation.cancel()
        assert calls == ["a"]

    def test_leaving_waits_for_the_watcher_at_work_and_for_no_other(self) -> None:
        cancellation, steps = Cancellation(), list[str]()
        begun, go_on = threading.Event(), threading.Event()

        def slow() -> None:
            begun.set()
            go_on.wait(10)
            steps.append("watcher done")

        def leave_slow_block() -> None:
            with cancellation.watched_by(slow):
                begun.wait(10)
            steps.append("left")

        leaving = threading.Thread(target=leave_slow_block)
        with cancellation.watched_by(lambda: None):
            leaving.start()
            while len(cancellation._watches) < 2:
                time.sleep(0.001)
            cancelling = threading.Thread(target=cancellation.cancel)
            cancelling.start()
            begun.wait(10)
        leaving.join(0.1)
        assert steps == []
        go_on.set()
        leaving.join(10)
        cancelling.join(10)
        assert steps == ["watcher done", "left"]

    def test_one_that_fails_keeps_nobody_from_going_on(self, caplog: pytest.LogCaptureFixture) -> None:
        cancellation, calls = Cancellation(), list[str]()

        def fail() -> None:
            raise OSError("the socket is not there")

        with (
            caplog.at_level(logging.ERROR, logger="llmrec"),
            cancellation.watched_by(lambda: calls.append("first")),
            cancellation.watched_by(fail),
            cancellation.watched_by(lambda: calls.append("last")),
        ):
            cancellation.cancel()
            with cancellation.watched_by(fail):
                pass
        assert sorted(calls) == ["first", "last"]
        assert caplog.text.count("OSError: the socket is not there") == 2

    def test_one_may_cancel_and_leave_its_own_block(self) -> None:
        cancellation, calls = Cancellation(), list[str]()

        def cancel_and_leave() -> None:
            calls.append("a")
            cancellation.cancel()
            watch.__exit__(None, None, None)

        watch = cancellation.watched_by(cancel_and_leave)
        with cancellation.watched_by(lambda: calls.append("b")):
            watch.__enter__()
            cancellation.cancel()
        assert sorted(calls) == ["a", "b"]

    def test_two_that_cancel_each_other_do_not_wait_for_each_other(self) -> None:
        for _ in range(200):
            one, other = Cancellation(), Cancellation()
            barrier = threading.Barrier(2)

            def cancel(which: Cancellation, barrier: threading.Barrier = barrier) -> None:
                barrier.wait()
                which.cancel()

            threads = [threading.Thread(target=cancel, args=(which,), daemon=True) for which in (one, other)]
            with one.watched_by(other.cancel), other.watched_by(one.cancel):
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join(5)
            assert not any(thread.is_alive() for thread in threads)
            assert one.cancelled
            assert other.cancelled

    def test_none_is_missed_and_none_called_too_late(self) -> None:
        """Blocks that are entered and left while another thread cancels."""

        def is_right(cancellation: Cancellation) -> bool:
            calls, inside = list[bool](), True
            with cancellation.watched_by(lambda: calls.append(inside)):
                seen = cancellation.cancelled
            inside = False
            return calls == [True] if seen else calls in ([], [True])

        def all_are_right(cancellation: Cancellation, barrier: threading.Barrier) -> bool:
            barrier.wait()
            return all(is_right(cancellation) for _ in range(50))

        with ThreadPoolExecutor(2) as pool:
            for _ in range(100):
                cancellation, barrier = Cancellation(), threading.Barrier(3)
                watching = [pool.submit(all_are_right, cancellation, barrier) for _ in range(2)]
                barrier.wait()
                cancellation.cancel()
                assert [watch.result() for watch in watching] == [True, True]
                assert cancellation._watches == {}

    def test_they_are_not_kept(self) -> None:
        class Held:
            def wake(self) -> None:
                pass

        cancellation, held = Cancellation(), Held()
        gone = weakref.ref(held)
        with cancellation.watched_by(held.wake):
            pass
        del held
        gc.collect()
        assert gone() is None


class TestWaiting:
    def test_it_waits_unless_cancelled(self) -> None:
        cancellation = Cancellation()
        begin = time.monotonic()
        assert cancellation.wait(0.05) is False
        assert time.monotonic() - begin >= 0.05
        timer = threading.Timer(0.05, cancellation.cancel)
        timer.start()
        assert cancellation.wait(30) is True
        assert cancellation.wait(30) is True
        assert cancellation.wait(-1) is True
        assert time.monotonic() - begin < 10
        timer.join()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers that interrupt")
def test_a_signal_handler_may_cancel_whatever_it_interrupts() -> None:
    """The handler runs in the main thread, between any two steps of entering, leaving and cancelling."""
    cancellation, done = Cancellation(), 0

    def handle(*_: object) -> None:
        cancellation.cancel()

    before = signal.signal(signal.SIGALRM, handle)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0003)
        deadline = time.monotonic() + 1
        while time.monotonic() < deadline:
            cancellation, calls = Cancellation(), []
            watched = cancellation
            with watched.watched_by(lambda calls=calls: calls.append(1)):  # type: ignore[misc]
                watched.wait(0.0002)
                watched.cancel()
            assert len(calls) == 1
            done += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert done > 10
