"""Rows of named values out of JSON, CSV, RecBole and Parquet; what the values mean is not known here."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from typing import IO, Any, Literal, NamedTuple

from llmrec.behavior.text import printable
from llmrec.errors import InputError

# Raw control characters inside strings are taken; cleaning removes them later.
_JSON = json.JSONDecoder(strict=False)
_JSON_SPACE = re.compile(r"[ \t\r\n]*")
_CUT = 1000


class Row(NamedTuple):
    """One record of a source: its values by name, or why there are none."""

    number: int
    """Line of the file from 1; number of the record in a JSON array or a Parquet file."""
    fields: dict[str, Any] | None
    fault: str = ""
    raw: str = ""
    """The beginning of a record that could not be read."""


class TokenSequence(str):
    """A `token_seq` value of RecBole: words separated by spaces, or by commas and spaces."""

    __slots__ = ()

    def parts(self) -> list[str]:
        """The words."""
        return self.split(", ") if ", " in self else self.split()


def json_rows(lines: Iterator[str]) -> Iterator[Row]:
    """The objects of JSON lines, read one by one, or of one JSON array, read whole."""
    nothing_yet = True
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text:
            continue
        if nothing_yet and text.startswith("["):
            yield from _json_array_rows(text + "\n" + "".join(lines))
            return
        nothing_yet = False
        try:
            value = _JSON.decode(text)
        except (ValueError, RecursionError) as error:
            yield Row(number, None, f"it is not valid JSON ({_json_fault(error)})", text[:_CUT])
        else:
            yield _json_row(number, value, text)


def _json_array_rows(text: str) -> Iterator[Row]:
    position = _after_space(text, 1)
    number = 0
    while position < len(text) and text[position] != "]":
        number += 1
        try:
            value, end = _JSON.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            yield Row(
                number,
                None,
                f"from here on the array is not valid JSON ({_json_fault(error)})",
                text[position : position + _CUT],
            )
            return
        yield _json_row(number, value, text[position:end])
        position = _after_space(text, end)
        if position < len(text) and text[position] == ",":
            position = _after_space(text, position + 1)
        elif position < len(text) and text[position] != "]":
            rest = text[position : position + _CUT]
            yield Row(number + 1, None, "from here on the array is not valid JSON (a comma is missing)", rest)
            return
    if position >= len(text):
        yield Row(number + 1, None, "the array is cut off: its closing bracket is missing")
    elif text[position + 1 :].strip():
        rest = text[position + 1 :].strip()
        yield Row(number + 1, None, "there is more text after the end of the array", rest[:_CUT])


def _after_space(text: str, position: int) -> int:
    found = _JSON_SPACE.match(text, position)
    return found.end() if found else position


def _json_row(number: int, value: Any, raw: str) -> Row:
    if isinstance(value, dict):
        return Row(number, value)
    return Row(number, None, "it is JSON, but not an object with names and values", raw[:_CUT])


def _json_fault(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos + 1}".replace("Expecting", "expected")
    return "nested too deeply" if isinstance(error, RecursionError) else "a number is too long"


def table_rows(lines: Iterator[str], name: str, delimiter: str, *, quoted: bool) -> Iterator[Row]:
    """The rows of a table below its header, read one by one; an empty cell is None."""
    consumed: list[str] = []

    def remembered() -> Iterator[str]:
        for line in lines:
            if len(consumed) < 10:
                consumed.append(line[:_CUT])
            # The csv module of Python 3.10 refuses NUL, so it travels as an escape.
            yield line.replace("\ufdd0", "\ufdd0b").replace("\0", "\ufdd0a")

    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quoted else csv.QUOTE_NONE
    table = csv.reader(remembered(), delimiter=delimiter, quoting=quoting, strict=True)
    header: list[str] | None = None
    while True:
        consumed.clear()
        number = table.line_num + 1
        try:
            cells = [
                cell.replace("\ufdd0a", "\0").replace("\ufdd0b", "\ufdd0") if "\ufdd0" in cell else cell
                for cell in next(table)
            ]
        except StopIteration:
            return
        except csv.Error as error:
            if header is None:
                raise InputError(f"{name}: the header cannot be read ({error})") from None
            yield Row(number, None, f"it is not a row of the table ({error})", "".join(consumed)[:_CUT])
            continue
        if not any(cells) and len(cells) < 2:
            continue
        if header is None:
            header = _checked_header(cells, name)
        elif len(cells) != len(header):
            fault = f"it has {len(cells)} values where the header has {len(header)}"
            yield Row(number, None, fault, "".join(consumed)[:_CUT])
        else:
            yield Row(number, {column: cell or None for column, cell in zip(header, cells, strict=True)})


def _checked_header(cells: Sequence[str], name: str) -> list[str]:
    header = [cell.strip() for cell in cells]
    for place, column in enumerate(header):
        if column and column in header[:place]:
            raise InputError(f"{name}: two columns are called '{printable(column, 60)}': rename one of them")
    return header


def recbole_rows(rows: Iterator[Row], name: str) -> Iterator[Row]:
    """The rows of a table whose header reads `name:type`, with the types taken into account."""
    for row in rows:
        if row.fields is None:
            yield row
            continue
        fields: dict[str, Any] = {}
        for column, cell in row.fields.items():
            field, colon, kind = column.rpartition(":")
            if not colon or kind not in ("token", "token_seq", "float", "float_seq"):
                raise InputError(
                    f"{name}: the column '{printable(column, 60)}' has no RecBole type: the first line "
                    "should read like user_id:token, item_id:token, rating:float, separated by tabs"
                )
            fields[field] = TokenSequence(cell) if kind.endswith("_seq") and cell is not None else cell
        yield row._replace(fields=fields)


def parquet_rows(stream: IO[Any], name: str) -> Iterator[Row]:
    """The records of a Parquet file, batch by batch; times are in UTC, without a zone."""
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise InputError(f'{name}: Parquet needs one more package: pip install "llmrec[parquet]"') from None
    try:
        content = stream if stream.seekable() else io.BytesIO(stream.read())
        if not content.read(1):
            return
        content.seek(0)
        table = parquet.ParquetFile(content)
        columns = list(table.schema_arrow.names)
        batches = table.iter_batches(batch_size=8192)
    except (pa.ArrowException, OSError, ValueError, TypeError) as error:
        raise InputError(f"{name} is not a Parquet file that can be read: {_first_line(error)}") from None
    if len(set(columns)) < len(columns):
        raise InputError(f"{name}: two columns have the same name: rename one of them")
    number = 0
    while True:
        try:
            batch = next(batches, None)
            records = [] if batch is None else _python_records(pa, batch)
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            raise InputError(f"{name} cannot be read after record {number}: {_first_line(error)}") from None
        if batch is None:
            return
        for fields in records:
            number += 1
            yield Row(number, fields)


def _python_records(pa: Any, batch: Any) -> list[dict[str, Any]]:
    columns = []
    for column in batch.columns:
        if pa.types.is_timestamp(column.type):
            # Nanoseconds need pandas and zones need a database; microseconds in UTC need neither.
            microseconds = column.cast(pa.timestamp("us", column.type.tz), safe=False)
            column = microseconds.cast(pa.int64()).cast(pa.timestamp("us"))
        columns.append(column.to_pylist())
    names = batch.schema.names
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return printable(lines[0] if lines else type(error).__name__)
