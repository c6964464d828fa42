"""The options that several commands share, and the values they take."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from llmrec.cli.failures import UsageError


class StrategyChoice(str, Enum):
    """How a model finds interests."""

    auto = "auto"
    anchored = "anchored"
    open = "open"


class LanguageChoice(str, Enum):
    """The language of labels and explanations."""

    auto = "auto"
    en = "en"
    zh = "zh"


class FormatChoice(str, Enum):
    """How a file is written."""

    jsonl = "jsonl"
    json = "json"
    csv = "csv"
    tsv = "tsv"
    parquet = "parquet"
    recbole = "recbole"
    movielens = "movielens"


JsonOption = Annotated[bool, typer.Option("--json", help="Write one JSON document instead.")]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", metavar="SPEC", help="embedded, llama-cpp:PATH or openai:NAME@URL."),
]
StrategyOption = Annotated[
    StrategyChoice | None,
    typer.Option("--strategy", help="anchored chooses among labels, open writes them."),
]
LanguageOption = Annotated[
    LanguageChoice | None,
    typer.Option("--language", help="Of labels and reasons; auto follows the events."),
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store", metavar="PATH", help="The SQLite file that keeps what was found; :memory: keeps nothing."
    ),
]
VocabularyOption = Annotated[
    Path | None,
    typer.Option("--vocabulary", metavar="FILE", help="Your own interests to choose from."),
]
PromptsOption = Annotated[
    Path | None,
    typer.Option("--prompts", metavar="FOLDER", help="Your own templates, before the shipped ones."),
]
CatalogOption = Annotated[
    str | None,
    typer.Option("--catalog", metavar="ITEMS", help="The file of items that events are about, or -."),
]
FormatOption = Annotated[
    FormatChoice | None, typer.Option("--format", help="Of the events, where the name does not tell.")
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="FIELD=COLUMN",
        help="Where the events have a field, as item_id=asin; action==view is for all. Repeatable.",
    ),
]
CatalogFormatOption = Annotated[
    FormatChoice | None, typer.Option("--catalog-format", help="Of the items, as --format.")
]
CatalogColumnOption = Annotated[
    list[str] | None,
    typer.Option("--catalog-column", metavar="FIELD=COLUMN", help="As --column, for the items."),
]
LimitOption = Annotated[int, typer.Option("-k", "--k", min=1, help="How many items to recommend.")]


def columns_from(pairs: Iterable[str], known: Iterable[str], option: str) -> dict[str, str]:
    """The columns given as FIELD=COLUMN. Raises UsageError for one without "=" or of no known field."""
    columns: dict[str, str] = {}
    for pair in pairs:
        field, equals, column = pair.partition("=")
        if not equals or not column:
            raise UsageError(f"{option} {pair!r} names no column: write {option} FIELD=COLUMN")
        if field not in known:
            raise UsageError(f"{option} names the field {field!r}: choose among {', '.join(known)}")
        columns[field] = column
    return columns
