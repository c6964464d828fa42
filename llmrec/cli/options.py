"""The options that several commands share, and the values they take."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from llmrec.cli.failures import WRONG_USAGE, UsageError
from llmrec.cli.panels import FILES, MODEL


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


FORMATS = ", ".join(choice.value for choice in FormatChoice)

PersonArgument = Annotated[str, typer.Argument(metavar="PERSON", help="Someone whose profile is kept.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Write one JSON document instead.")]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        metavar="SPEC",
        help="embedded, llama-cpp:PATH or openai:NAME@URL.",
        rich_help_panel=MODEL,
    ),
]
StrategyOption = Annotated[
    StrategyChoice | None,
    typer.Option(
        "--strategy",
        help="How interests are found: anchored chooses among labels, open writes them.",
        rich_help_panel=MODEL,
    ),
]
LanguageOption = Annotated[
    LanguageChoice | None,
    typer.Option("--language", help="Of labels and reasons; auto follows the events.", rich_help_panel=MODEL),
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="PATH",
        help="The SQLite file that keeps events, profiles and answers; else one in your data folder; "
        ":memory: keeps nothing.",
        rich_help_panel=MODEL,
    ),
]
VocabularyOption = Annotated[
    Path | None,
    typer.Option(
        "--vocabulary",
        metavar="FILE",
        help="Your own interests to choose from, or catalog for the catalogue's categories.",
        rich_help_panel=MODEL,
    ),
]
PromptsOption = Annotated[
    Path | None,
    typer.Option(
        "--prompts",
        metavar="FOLDER",
        help="Your own templates, before the shipped ones.",
        rich_help_panel=MODEL,
    ),
]
CatalogOption = Annotated[
    str | None,
    typer.Option("--catalog", metavar="ITEMS", help="The file of items that events are about, or -."),
]
FormatOption = Annotated[
    FormatChoice | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help=f"Of the events; else by the name: {FORMATS}.",
        rich_help_panel=FILES,
    ),
]
ColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="FIELD=COLUMN",
        help="Where the events have a field, as item_id=asin; action==view is for all. Repeatable.",
        rich_help_panel=FILES,
    ),
]
CatalogFormatOption = Annotated[
    FormatChoice | None,
    typer.Option(
        "--catalog-format", metavar="FORMAT", help="As --format, for the items.", rich_help_panel=FILES
    ),
]
CatalogColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--catalog-column",
        metavar="FIELD=COLUMN",
        help="As --column, for the items.",
        rich_help_panel=FILES,
    ),
]
LogOption = Annotated[
    str | None,
    typer.Option(
        "--log", metavar="FILE", help="What many people chose: events, or user_id with items; or -."
    ),
]
LogFormatOption = Annotated[
    FormatChoice | None,
    typer.Option("--log-format", metavar="FORMAT", help="As --format, for the log.", rich_help_panel=FILES),
]
LogColumnOption = Annotated[
    list[str] | None,
    typer.Option(
        "--log-column", metavar="FIELD=COLUMN", help="As --column, for the log.", rich_help_panel=FILES
    ),
]
LimitOption = Annotated[int, typer.Option("-k", "--k", min=1, help="How many items to recommend.")]


def show_help_without_command(context: typer.Context) -> None:
    """Print the help of a group that was called without a command; that is wrong usage."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help().rstrip())
        raise typer.Exit(WRONG_USAGE)


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
