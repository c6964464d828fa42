"""Stopping a call of a model that another thread waits for."""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections.abc import Callable, Iterator

from llmrec.errors import CallCancelledError

logger = logging.getLogger(__name__)


class Cancellation:
    """Hand one to a call, and `cancel` it from any thread: the call ends soon, not at its next result.

    One may be handed to many calls, and cancels them all. It cannot be taken back: make a new one. A signal
    handler and a finalizer may cancel too, whatever the thread that they interrupt is doing.
    """

    def __init__(self) -> None:
        self._cancelled = False
        # Taking a watch out is what gives the right to call it: no lock is held while watchers run.
        self._watches: dict[_Watch, None] = {}

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` was called."""
        return self._cancelled

    def cancel(self) -> None:
        """End every call that has this, now and later. Calling it again does nothing."""
        self._cancelled = True
        self._notify()

    def check(self) -> None:
        """Raise CallCancelledError when it was cancelled."""
        if self._cancelled:
            raise CallCancelledError("the call was cancelled")

    def wait(self, seconds: float) -> bool:
        """Wait that long, or until it is cancelled; returns whether it is."""
        # Unlike an Event, this can be set by a signal handler that interrupts the wait.
        woken: queue.SimpleQueue[None] = queue.SimpleQueue()
        with self.watched_by(lambda: woken.put(None)), contextlib.suppress(queue.Empty):
            woken.get(timeout=max(0.0, seconds))
        return self._cancelled

    @contextlib.contextmanager
    def watched_by(self, watcher: Callable[[], object]) -> Iterator[None]:
        """Inside, `cancel` calls the watcher, in the thread that cancels; at once if it was called before.

        It is called once at most, and not after the block: leaving it waits for a watcher that is at work.
        A watcher must be quick, and wait for nobody. What it raises is logged, and keeps neither the other
        watchers nor the thread that cancels from going on.
        """
        watch = _Watch(watcher)
        try:
            self._watches[watch] = None
            # Looked at after the watch is in its place: one that comes too late for `cancel` sees it here.
            if self._cancelled:
                self._notify()
            yield
        finally:
            self._watches.pop(watch, None)
            watch.end()

    def _notify(self) -> None:
        while True:
            try:
                watch, _ = self._watches.popitem()
            except KeyError:
                return
            watch.notify()


class _Watch:
    """A watcher that is called once, and not after `end`."""

    def __init__(self, watcher: Callable[[], object]) -> None:
        self._watcher: Callable[[], object] | None = watcher
        # A signal handler may cancel in the thread that is about to leave the block.
        self._lock = threading.RLock()

    def notify(self) -> None:
        with self._lock:
            watcher, self._watcher = self._watcher, None
            if watcher is None:
                return
            try:
                watcher()
            except Exception:
                logger.exception("a watcher of a cancellation failed")

    def end(self) -> None:
        with self._lock:
            self._watcher = None
