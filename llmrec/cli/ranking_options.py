"""The options that say how to rank, what counts beside relevance, and what it may cost."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmrec.cli.failures import UsageError
from llmrec.cli.panels import BUDGET, RANKING, REORDERING
from llmrec.errors import InputError

if TYPE_CHECKING:
    from llmrec.ranking.base import Budget
    from llmrec.ranking.reorder import Reordering


class RankBy(str, Enum):
    """How the model is asked to rank."""

    auto = "auto"
    none = "none"
    first_index = "first_index"
    graded = "graded"
    likelihood_ratio = "likelihood_ratio"
    listwise = "listwise"
    pairwise = "pairwise"
    query_likelihood = "query_likelihood"
    setwise = "setwise"
    tournament = "tournament"
    yes_no = "yes_no"


class BasisChoice(str, Enum):
    """What of a person is ranked by."""

    both = "both"
    history = "history"
    profile = "profile"


RankByOption = Annotated[
    RankBy | None,
    typer.Option(
        "--rank-by",
        metavar="NAME",
        help=f"How the model is asked: {', '.join(choice.value for choice in RankBy)}; none asks nothing.",
        rich_help_panel=RANKING,
    ),
]
RankOption = Annotated[
    list[str] | None,
    typer.Option(
        "--rank-option",
        metavar="NAME=VALUE",
        help="Of the strategy, as window=10 or prompts=history,basket. Repeatable.",
        rich_help_panel=RANKING,
    ),
]
BasisOption = Annotated[
    BasisChoice,
    typer.Option("--basis", help="Rank by the interests, the events, or both.", rich_help_panel=RANKING),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(
        "--weights", metavar="FILE", help="Weights that llmrec tune wrote.", rich_help_panel=RANKING
    ),
]
SeedOption = Annotated[
    int,
    typer.Option("--seed", min=0, metavar="N", help="Decides every shuffle.", rich_help_panel=RANKING),
]
DiversityOption = Annotated[
    float,
    typer.Option(
        "--diversity",
        metavar="0..1",
        help="Unlikeness to the items above; what these three leave of 1 is relevance's.",
        rich_help_panel=REORDERING,
        show_default=False,
    ),
]
CalibrateOption = Annotated[
    float,
    typer.Option(
        "--calibrate",
        metavar="0..1",
        help="The list has the profile's proportions of interests.",
        rich_help_panel=REORDERING,
        show_default=False,
    ),
]
NoveltyOption = Annotated[
    float,
    typer.Option(
        "--novelty",
        metavar="0..1",
        help="Few people chose the item or, without --log, it is unlike the history.",
        rich_help_panel=REORDERING,
        show_default=False,
    ),
]
CapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--cap",
        metavar="NAME=N",
        help="At most N items of one value, as brand=2 or category=3. Repeatable.",
        rich_help_panel=REORDERING,
    ),
]
WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="FILTER",
        help="Only items that meet it, as 'year>=1990', 'brand!=EA' or 'title~zelda'. Repeatable.",
        rich_help_panel=REORDERING,
    ),
]
MaxCallsOption = Annotated[
    int | None,
    typer.Option("--max-calls", metavar="N", help="Requests to the model.", rich_help_panel=BUDGET),
]
MaxTokensOption = Annotated[
    int | None,
    typer.Option("--max-tokens", metavar="N", help="Tokens read and written.", rich_help_panel=BUDGET),
]
MaxSecondsOption = Annotated[
    float | None,
    typer.Option("--max-seconds", metavar="S", help="Seconds.", rich_help_panel=BUDGET),
]
CostOption = Annotated[
    bool,
    typer.Option(
        "--cost", help="Tell what the model would be asked at most; rank nothing.", rich_help_panel=BUDGET
    ),
]


def reordering_from(
    *, diversity: float, calibration: float, novelty: float, caps: Sequence[str], filters: Sequence[str]
) -> Reordering:
    """What counts beside relevance, of the options. Raises UsageError for what cannot be."""
    from llmrec.behavior.events import validated
    from llmrec.ranking.reorder import Reordering, parse_cap, parse_filter
    from llmrec.ranking.reorder.filters import field_name

    weights = {"--diversity": diversity, "--calibrate": calibration, "--novelty": novelty}
    for option, weight in weights.items():
        if not 0 <= weight <= 1:
            raise UsageError(f"{option} is {weight:g}: give a number from 0 to 1")
    with _wrong_usage():
        capped: dict[str, int] = {}
        for name, most in map(parse_cap, caps):
            if field_name(name) in map(field_name, capped):
                raise UsageError(f"there are two caps on {name!r}: keep one --cap")
            capped[name] = most
        wanted = {
            "diversity": diversity,
            "calibration": calibration,
            "novelty": novelty,
            "caps": capped,
            "filters": tuple(map(parse_filter, filters)),
        }
        return validated(Reordering, wanted, "the options")


def strategy_options_from(pairs: Sequence[str]) -> dict[str, Any] | None:
    """The strategy's options, each NAME=VALUE: a whole number, a text, or several parted by commas.

    The value `none` is None, as in top=none; without any option, so is all. Raises UsageError for one that
    cannot be read, or is given twice.
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = (part.strip() for part in pair.partition("="))
        if not (name and equals and text.strip(", ")):
            raise UsageError(f"--rank-option {pair!r} has no value: write --rank-option NAME=VALUE")
        if name in options:
            raise UsageError(f"there are two values of {name!r}: keep one --rank-option")
        parts = tuple(_value(part.strip()) for part in text.split(",") if part.strip())
        options[name] = parts if "," in text else parts[0]
    return options or None


def _value(text: str) -> int | str | None:
    if text == "none":
        return None
    return int(text) if re.fullmatch(r"-?[0-9]{1,18}", text) else text


def budget_from(*, calls: int | None, tokens: int | None, seconds: float | None) -> Budget | None:
    """What the model may cost, of the options; None without any. Raises UsageError for what cannot be."""
    from llmrec.ranking.base import Budget

    given = {"--max-calls": calls, "--max-tokens": tokens, "--max-seconds": seconds}
    for option, most in given.items():
        if most is not None and not 0 <= most < math.inf:
            raise UsageError(f"{option} is {most:g}: give a number from 0 up")
    if all(most is None for most in given.values()):
        return None
    return Budget(calls=calls, tokens=tokens, seconds=seconds)


@contextlib.contextmanager
def _wrong_usage() -> Iterator[None]:
    """What the library finds wrong with an option is wrong usage."""
    try:
        yield
    except UsageError:
        raise
    except InputError as error:
        raise UsageError(str(error)) from error
