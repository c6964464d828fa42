"""What a command ends with: exit codes, and errors as one plain sentence in the terms of the command line."""

from __future__ import annotations

import re

from llmrec.errors import InputError

DONE = 0
FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130


class UsageError(InputError):
    """The command was called wrongly: an option, an id or a file it names cannot be."""


class ReaderGoneError(Exception):
    """Whoever read standard output has closed it, and wants no more."""


# The library speaks of Python's arguments; a reader of the command line knows them as options.
_IN_OPTIONS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b((?:catalog|log)-)?columns=\{'([^']*)': '([^']*)'\}"), r"--\1column \2=\3"),
    (re.compile(r"\b((?:catalog|log)-)?columns="), r"--\1column"),
    (re.compile(r"\b((?:catalog|log)-)?format= "), r"--\1format "),
    (re.compile(r"\b(model|strategy|store)=(['\"])([^'\"]*)\2"), r"--\1 \3"),
    (re.compile(r"give the Recommender items, or name candidates"), "give one that holds items"),
    (re.compile(r"give an Item, or an id from it"), "give ids that --catalog holds"),
    (re.compile(r"profile\.tree\(\) shows"), "llmrec profile --user shows"),
    (re.compile(r"or allow repeats"), "or allow them with --repeats"),
)


def in_options(text: str) -> str:
    """A message of the library with Python's arguments written as the options of the command line."""
    for pattern, replacement in _IN_OPTIONS:
        text = pattern.sub(replacement, text)
    return text


def one_line(text: str) -> str:
    """A message on one line, with nothing in it that a terminal would obey."""
    from llmrec.behavior.text import clean_text

    return " ".join(clean_text(text).split())
