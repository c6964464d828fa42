"""Opening a file, a folder or a stream and choosing how its rows are read."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, TypeAlias, cast, get_args

from llmrec.behavior.rows import Row, json_rows, parquet_rows, recbole_rows, table_rows
from llmrec.behavior.text import printable
from llmrec.errors import InputError

Format = Literal["jsonl", "json", "csv", "tsv", "parquet", "recbole", "movielens"]
Source: TypeAlias = "str | os.PathLike[str] | IO[str] | IO[bytes]"

_FORMAT_OF_EXTENSION: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".inter": "recbole",
    ".item": "recbole",
}


@dataclass(frozen=True)
class OpenSource:
    """A source opened for reading, row by row."""

    name: str
    format: Format
    rows: Iterator[Row]


@contextlib.contextmanager
def open_source(source: Source, given_format: Format | None, folder_file: str) -> Iterator[OpenSource]:
    """Open a path, standard input ("-") or a stream; `folder_file` is what to read in a MovieLens folder.

    Raises InputError when the source or its format is unknown, it cannot be opened, or, while the rows
    are read, when it is not UTF-8 or not what the format demands.
    """
    if given_format is not None and given_format not in get_args(Format):
        raise InputError(
            f"the format {given_format!r} is unknown: choose one of {', '.join(get_args(Format))}"
        )
    if isinstance(source, (str, os.PathLike)) and source != "-":
        path = Path(source)
        if _is_folder(path):
            path = _file_in_folder(path, folder_file)
            given_format = given_format or "movielens"
        name = printable(str(path))
        found_format = given_format or _format_of(path, name)
        with _open_file(path, name) as file:
            yield OpenSource(name, found_format, _rows(file, found_format, name))
        return
    stream: Any = source
    if source == "-":
        stream, name = getattr(cast("Any", sys.stdin), "buffer", sys.stdin), "standard input"
    else:
        given_name = getattr(source, "name", None)
        name = printable(given_name) if isinstance(given_name, str) else "the stream"
    if not hasattr(stream, "read"):
        raise InputError(f"{type(source).__name__} cannot be read: give a path, '-' or an open file")
    found_format = given_format or "jsonl"
    yield OpenSource(name, found_format, _rows(stream, found_format, name))


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _file_in_folder(folder: Path, file_name: str) -> Path:
    if not (folder / file_name).exists():
        raise InputError(
            f"{printable(str(folder))} is a folder without a {file_name}: give a file, or the folder of a "
            "MovieLens data set"
        )
    return folder / file_name


def _format_of(path: Path, name: str) -> Format:
    found = _FORMAT_OF_EXTENSION.get(path.suffix.lower())
    if found is None:
        raise InputError(
            f"the format of {name} cannot be told from its name: give format= one of "
            f"{', '.join(get_args(Format))}"
        )
    return found


def _open_file(path: Path, name: str) -> IO[bytes]:
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise InputError(f"there is no file {name}: check the path") from None
    except PermissionError:
        raise InputError(f"{name} may not be read: ask for the permission, or copy the file") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{name} cannot be opened: {getattr(error, 'strerror', None) or error}") from None


def _rows(stream: IO[Any], found_format: Format, name: str) -> Iterator[Row]:
    if found_format == "parquet":
        return parquet_rows(stream, name)
    if found_format in ("jsonl", "json"):
        return json_rows(_lines(stream, name))
    lines = _split_at_carriage_returns(_lines(stream, name))
    if found_format == "recbole":
        return recbole_rows(table_rows(lines, name, "\t", quoted=False), name)
    return table_rows(lines, name, "\t" if found_format == "tsv" else ",", quoted=True)


def _lines(stream: IO[Any], name: str) -> Iterator[str]:
    lines: Iterator[str | bytes] | None = None
    number = 0
    while True:
        number += 1
        try:
            lines = iter(stream) if lines is None else lines
            line = next(lines)
            text = line.decode("utf-8") if isinstance(line, bytes) else str(line)
        except StopIteration:
            return
        except UnicodeError:
            raise InputError(
                f"{name} is not UTF-8 text (line {number}): save it as UTF-8 and read it again"
            ) from None
        except (OSError, ValueError) as error:
            raise InputError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from None
        yield text.removeprefix("\ufeff") if number == 1 else text


def _split_at_carriage_returns(lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if "\r" in line:
            yield from re.findall("[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+", line)
        else:
            yield line
