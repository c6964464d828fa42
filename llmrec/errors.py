"""The errors llmrec raises: few kinds, each with a sentence that says what to do next."""

from __future__ import annotations


class LlmrecError(Exception):
    """The base of every error llmrec raises on purpose.

    `retry` tells a caller whether the same call may succeed later without any change.
    """

    retry: bool = False


class InputError(LlmrecError):
    """Something the caller gave cannot be used: a file, a record, an argument, a template."""


class ModelError(LlmrecError):
    """A language model cannot be found, loaded or used for what was asked of it."""


class ModelUnavailableError(ModelError):
    """A model's server did not answer, or refused for now; the same call may work later."""

    retry = True


class ContextLengthError(ModelError):
    """A text is longer than the model's context; `tokens` and `limit` say by how much."""

    def __init__(self, message: str, *, tokens: int | None = None, limit: int | None = None) -> None:
        super().__init__(message)
        self.tokens = tokens
        self.limit = limit


class AnswerError(ModelError):
    """A model's answer stayed unusable after every repair and question; `answers` holds what it said."""

    def __init__(self, message: str, *, answers: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.answers = answers


class CallCancelledError(LlmrecError):
    """A call was ended by its Cancellation before it had a result; the same call may be made again."""

    retry = True


class StoreError(LlmrecError):
    """The store cannot be opened, read or written."""
