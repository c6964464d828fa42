"""A model's answer piece by piece, for callers who want to write `for piece in stream(...)`."""

from __future__ import annotations

import atexit
import contextlib
import functools
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from llmrec.llm.background import BackgroundCall
from llmrec.llm.base import Completion, LanguageModel, Message
from llmrec.llm.cancellation import Cancellation

# A local model must not be in the middle of a computation when the process takes its memory away.
PATIENCE_AT_EXIT = 5.0


class TextStream(Iterator[str]):
    """The pieces of an answer that is being written; together they are the text of `completion`.

    The answer is written in another thread, also while nobody asks for a piece. Used in a `with` statement,
    leaving it ends the call. One that is dropped without is cancelled when it is collected.
    """

    def __init__(
        self,
        model: LanguageModel,
        messages: Sequence[Message],
        *,
        cancellation: Cancellation | None = None,
        **options: Any,
    ) -> None:
        """Begin the call; see `stream`."""

        def generate(on_text: Callable[[str], None], own: Cancellation) -> Completion:
            with cancellation.watched_by(own.cancel) if cancellation else contextlib.nullcontext():
                return model.generate(messages, on_text=on_text, cancellation=own, **options)

        self._call = BackgroundCall(generate, name="llmrec-stream")
        self._ended = False
        weakref.finalize(self, self._call.cancellation.cancel).atexit = False
        end_at_exit = functools.partial(self._call.end, PATIENCE_AT_EXIT)
        atexit.register(end_at_exit)
        self._call.outcome.add_done_callback(lambda _: atexit.unregister(end_at_exit))

    def __next__(self) -> str:
        """Wait for the next piece. After the last one, raises what the model raised, once."""
        piece = None if self._ended else self._call.next_piece()
        if piece is not None:
            return piece
        if not self._ended:
            self._ended = True
            self._call.outcome.result()
        raise StopIteration

    @property
    def completion(self) -> Completion:
        """The whole answer; waits for its end. Raises what the model raised."""
        return self._call.outcome.result()

    def close(self) -> None:
        """End the call and wait for it; `completion` then has what was written, and iterating ends."""
        self._ended = True
        self._call.end()

    def __enter__(self) -> TextStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def stream(
    model: LanguageModel,
    messages: Sequence[Message],
    *,
    cancellation: Cancellation | None = None,
    **options: Any,
) -> TextStream:
    """Begin an answer and return its pieces as they come; `options` are those of `LanguageModel.generate`.

        with stream(model, messages, max_tokens=200) as answer:
            for piece in answer:
                show(piece)
        answer.completion.finish_reason

    Leaving early cancels this call only; `cancellation` ends it from outside, as it does in `generate`.
    """
    return TextStream(model, messages, cancellation=cancellation, **options)
