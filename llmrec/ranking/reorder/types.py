"""What may be asked of an order beyond relevance, and what came of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from llmrec.behavior.text import printable
from llmrec.errors import InputError
from llmrec.ranking.reorder.filters import INTEREST, Filter, field_name, parse_filter

WEIGHT_SLACK = 1e-9


def _as_filter(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return parse_filter(value)
    except InputError as error:
        raise ValueError(str(error)) from error


def parse_cap(text: str) -> tuple[str, int]:
    """Read a cap as people type it, `brand=2`. Raises InputError with one sentence for anything else."""
    name, _, most = text.rpartition("=")
    if not name.strip() or not re.fullmatch("[0-9]{1,9}", most.strip()) or int(most) < 1:
        raise InputError(
            f"the cap {printable(text, 80)!r} cannot be used: write it as brand=2, the most of each"
        )
    return name.strip(), int(most)


class Reordering(BaseModel):
    """What to weigh beside relevance, what to bound and what to leave out.

    The weights `diversity`, `calibration` and `novelty` are parts of one whole: what they leave of 1 is
    relevance's, so they may sum to 1 at most.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    diversity: float = Field(default=0.0, ge=0, le=1)
    """How much unlikeness to the items above counts: 1 - lambda of Maximal Marginal Relevance (Carbonell and
    Goldstein 1998)."""
    calibration: float = Field(default=0.0, ge=0, le=1)
    """How much it counts that the list has the profile's proportions of interests: lambda of calibrated
    recommendations (Steck 2018)."""
    calibration_level: Literal["areas", "leaves"] = "leaves"
    """Whose proportions: the broadest interests', or those's without narrower ones."""
    novelty: float = Field(default=0.0, ge=0, le=1)
    """How much it counts that few people chose an item or, where that is not known, that it is unlike the
    person's history."""
    caps: dict[str, Annotated[int, Field(ge=1)]] = Field(default_factory=dict)
    """The most items of any one value in the list, by `category`, `domain`, `language` or an attribute's
    name. An item of several categories counts for each; one without a value is not bounded."""
    filters: tuple[Annotated[Filter, BeforeValidator(_as_filter)], ...] = ()
    """Conditions that every item must meet; texts such as `year>=1990` are read."""

    @field_validator("caps")
    @classmethod
    def _caps_on_values(cls, caps: Mapping[str, int]) -> dict[str, int]:
        named: dict[str, int] = {}
        for given, most in caps.items():
            name = field_name(given)
            if not name:
                raise ValueError("a cap has no name: write category, domain or an attribute")
            if name == INTEREST:
                raise ValueError("there is no cap on interests: calibration gives each its proportion")
            if name in named:
                raise ValueError(f"there are two caps on {name!r}: keep one")
            named[name] = most
        return named

    @model_validator(mode="after")
    def _weights_of_one_whole(self) -> Reordering:
        if self.diversity + self.calibration + self.novelty > 1 + WEIGHT_SLACK:
            raise ValueError(
                f"diversity {self.diversity:g}, calibration {self.calibration:g} and novelty "
                f"{self.novelty:g} sum to more than 1: lower one, as what they leave of 1 is relevance's"
            )
        return self

    @property
    def relevance(self) -> float:
        """The weight that is left for relevance."""
        return max(0.0, 1.0 - self.diversity - self.calibration - self.novelty)

    @property
    def active(self) -> bool:
        """Whether anything is asked for."""
        return bool(self.diversity or self.calibration or self.novelty or self.caps or self.filters)


class Placement(BaseModel):
    """An item of the list: where it stood by score, where it stands, and what put it there.

    The four parts sum to what was largest, at that place, of all items that might have stood there.
    """

    model_config = ConfigDict(frozen=True)

    item_id: str
    from_rank: int = Field(ge=1)
    """By score, among the items that passed the filters."""
    to_rank: int = Field(ge=1)
    relevance: float
    """Credited: the weight of relevance times the score, 0 for the lowest and 1 for the highest one."""
    diversity: float
    """Charged, so 0 or below: the weight times the likeness to the likest item above."""
    calibration: float
    """The weight times how far, in nats, the item brought the list nearer to the profile's proportions; below
    0 where it led away from them."""
    novelty: float
    """Credited: the weight times how novel it is, 0 for the least and 1 for the most novel one."""


class KeptOut(BaseModel):
    """An item that would stand in the list by its score, had no cap kept it out."""

    model_config = ConfigDict(frozen=True)

    item_id: str
    from_rank: int = Field(ge=1)
    cap: str
    """The name of the cap."""
    value: str
    """The value, folded, of which the list had the most it may have."""


class Reordered(BaseModel):
    """A list, and why it is as it is. `order` and `rest` hold every item that passed the filters once."""

    model_config = ConfigDict(frozen=True)

    order: tuple[int, ...]
    """The places, among the items given, of those in the list, the first one first: k of them, or fewer where
    fewer passed the filters or the caps left places empty."""
    rest: tuple[int, ...]
    """The places of the others that passed, by score."""
    placements: tuple[Placement, ...]
    """One for each item of the list, in its order."""
    kept_out: tuple[KeptOut, ...] = ()
    """The items among the first k by score that a cap kept out."""
    notes: tuple[str, ...] = ()
    """What a reader should know: what was filtered, what caps did, how novelty was measured."""

    @property
    def moved(self) -> tuple[Placement, ...]:
        """The placements of the items that do not stand where their score would put them."""
        return tuple(one for one in self.placements if one.from_rank != one.to_rank)
