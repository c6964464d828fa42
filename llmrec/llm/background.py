"""A call in a thread of its own: its pieces are handed over, and it can be left before it ends."""

from __future__ import annotations

import contextlib
import contextvars
import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Generic, TypeVar

from llmrec.llm.cancellation import Cancellation

ResultT = TypeVar("ResultT")
Work = Callable[[Callable[[str], None], Cancellation], ResultT]
"""What runs in the thread: it gets what takes each new piece, and the cancellation that ends it."""

PATIENCE = 0.5
"""Seconds that a call which was cancelled may take to end before it is left to itself."""


class BackgroundCall(Generic[ResultT]):
    """Work that began in another thread; iterating gives its pieces, until it has ended.

    The thread holds no reference to this object, and does not keep the interpreter from ending.
    """

    def __init__(self, work: Work[ResultT], *, name: str) -> None:
        """Begin. `name` is the thread's; the work sees the context variables of this moment."""
        pieces: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        outcome: Future[ResultT] = Future()
        cancellation = Cancellation()
        context = contextvars.copy_context()

        def run() -> None:
            try:
                outcome.set_result(context.run(work, pieces.put, cancellation))
            except BaseException as error:
                outcome.set_exception(error)
            finally:
                pieces.put(None)

        self.outcome = outcome
        self.cancellation = cancellation
        self._pieces = pieces
        self._thread = threading.Thread(target=run, name=name, daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[str]:
        return iter(self.next_piece, None)

    def next_piece(self) -> str | None:
        """Wait for the next piece; None when there is none to come, or after `interrupt`."""
        piece = self._pieces.get()
        if piece is None:
            self._pieces.put(None)
        return piece

    def interrupt(self) -> None:
        """Cancel the work, and wake the thread that waits for a piece; waits for nobody."""
        self.cancellation.cancel()
        self._pieces.put(None)

    def end(self, patience: float | None = None) -> None:
        """Cancel the work unless it has ended, and wait for its thread, at most `patience` seconds."""
        self.cancellation.cancel()
        self._thread.join(patience)


def run_apart(
    work: Work[ResultT],
    *,
    on_text: Callable[[str], object] | None,
    cancellation: Cancellation | None,
    name: str,
) -> ResultT | None:
    """Run work in another thread, and hand its pieces to `on_text` in this one.

    Returns what the work does; None when it was cancelled, however long the work takes to notice. Raises
    what the work raises, and what `on_text` raises, which ends the work.
    """
    call = BackgroundCall(work, name=name)

    def cancelled() -> bool:
        return cancellation is not None and cancellation.cancelled

    try:
        with cancellation.watched_by(call.interrupt) if cancellation else contextlib.nullcontext():
            for piece in call:
                if cancelled():
                    break
                if on_text is not None:
                    on_text(piece)
    finally:
        call.end(PATIENCE)
    return None if cancelled() else call.outcome.result()
