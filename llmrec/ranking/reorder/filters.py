"""Conditions that an item meets or not: `year>=1990`, `price<20`, `brand!=EA`, `title~zelda`."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from llmrec.behavior.events import Item, describe_validation_error
from llmrec.behavior.text import printable
from llmrec.errors import InputError
from llmrec.interests.subjects import language_of
from llmrec.ranking.reorder.membership import InterestMembership
from llmrec.ranking.reorder.quantities import compare, fold, parse_date, parse_quantity

Operator = Literal["=", "!=", "<", "<=", ">", ">=", "~", "!~"]
OPERATORS: tuple[str, ...] = get_args(Operator)

INTEREST = "interest"
_OTHER_NAMES = {"categories": "category", "interests": INTEREST, "lang": "language"}
_TEXT_FIELDS = frozenset({"id", "title", "description", "category", "domain", "language", INTEREST})
_OPERATOR = re.compile("[<>=!~＜＞＝！～〜≥≤≠]+")
_OTHER_SIGNS = {"≥": ">=", "≤": "<=", "≠": "!=", "==": "="}
_ORDER = ("<", "<=", ">", ">=")
_EXAMPLES = "write it as year>=1990, brand=Nintendo, category!=Horror or title~zelda"
_QUOTES = (('"', '"'), ("'", "'"), ("“", "”"))


class Filter(BaseModel):
    """One condition on an item's field or attribute.

    `=` and `!=` compare texts without regard to case and width, and numbers by value; `~` and `!~` look for
    a text within; the others compare numbers and dates (see `quantities.compare`). Of several values, as an
    item has of categories, one that meets the condition is enough; `!=` and `!~` want that none does what
    `=` and `~` ask. So an item without the attribute, or with one that cannot be compared, fails every
    condition but `!=` and `!~`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: str
    """`id`, `title`, `description`, `category`, `domain`, `language`, `interest`, or an attribute's name."""
    operator: Operator
    value: str

    @model_validator(mode="after")
    def _can_be_met(self) -> Filter:
        if not self.field.strip():
            raise ValueError(f"it does not say what to compare: {_EXAMPLES}")
        if not self.value.strip():
            raise ValueError(f"it does not say what to compare {self.field} with: {_EXAMPLES}")
        if self.operator in _ORDER:
            if field_name(self.field) in _TEXT_FIELDS:
                raise ValueError(
                    f"{self.operator} compares numbers and dates, and {self.field} is text: use = != ~ or !~"
                )
            if parse_quantity(self.value) is None and parse_date(self.value) is None:
                raise ValueError(
                    f"{self.operator} compares numbers and dates; {printable(self.value, 40)!r} is neither"
                )
        return self

    def __str__(self) -> str:
        return f"{self.field}{self.operator}{self.value}"


def parse_filter(text: str) -> Filter:
    """Read a filter as people type it; quotes around the value are taken off, full-width signs understood.

    Raises InputError with one sentence that says what is wrong.
    """
    shown = printable(text.strip(), 80)
    found = _OPERATOR.search(text)
    if found is None:
        raise InputError(f"the filter {shown!r} has no comparison: {_EXAMPLES}")
    sign = unicodedata.normalize("NFKC", found[0].replace("〜", "~"))
    sign = _OTHER_SIGNS.get(sign, sign)
    if sign not in OPERATORS:
        raise InputError(
            f"the filter {shown!r} compares by {found[0]!r}, which is none of {' '.join(OPERATORS)}: "
            "put a value that begins with such a sign in quotes"
        )
    value = text[found.end() :].strip()
    for opening, closing in _QUOTES:
        if len(value) >= 2 and value.startswith(opening) and value.endswith(closing):
            value = value[1:-1]
            break
    try:
        return Filter.model_validate(
            {"field": text[: found.start()].strip(), "operator": sign, "value": value}
        )
    except ValidationError as error:
        raise InputError(
            f"the filter {shown!r} cannot be used: {describe_validation_error(error)}"
        ) from error


def field_name(name: str) -> str:
    """A field's or attribute's name as it is compared: folded, `category` for `categories`."""
    folded = fold(name)
    return _OTHER_NAMES.get(folded, folded)


def field_values(item: Item, name: str) -> tuple[str, ...]:
    """What an item has for a field or an attribute, folded; empty where it has nothing.

    A language is found from the text where the item names none, and one with a region also counts without.
    """
    name = field_name(name)
    given: list[str] = []
    if name == "category":
        given += item.categories
    elif name == "language":
        language = item.language or language_of([item.title, item.description])
        given += [language, re.split("[-_]", language)[0]]
    elif name in ("id", "title", "description", "domain"):
        given.append(getattr(item, name) or "")
    given += [value for key, value in item.attributes.items() if field_name(key) == name]
    return tuple(dict.fromkeys(folded for value in given if (folded := fold(value))))


def passes(item: Item, filters: Sequence[Filter], *, membership: InterestMembership | None = None) -> bool:
    """Whether an item meets every filter.

    Raises InputError for a filter by interest without `membership`, or by one that the profile does not have.
    """
    return all(_meets(item, one, membership) for one in filters)


def passing(
    items: Sequence[Item], filters: Sequence[Filter], *, membership: InterestMembership | None = None
) -> tuple[list[int], list[str]]:
    """The places of the items that meet every filter, and a note for each filter that left items out.

    An item is counted where it fails first. Raises InputError as `passes` does.
    """
    left = list(range(len(items)))
    notes = []
    for one in filters:
        out = [at for at in left if not _meets(items[at], one, membership)]
        if out:
            note = f"the filter {one} left out {len(out)} of {len(items)} items"
            lacking = sum(1 for at in out if _lacks(items[at], one))
            notes.append(f"{note}, {lacking} of them without {one.field}" if lacking else note)
            failed = set(out)
            left = [at for at in left if at not in failed]
    return left, notes


def _meets(item: Item, one: Filter, membership: InterestMembership | None) -> bool:
    negated = one.operator.startswith("!")
    operator = one.operator[-1] if negated else one.operator
    if field_name(one.field) == INTEREST:
        if membership is None:
            raise InputError(
                f"the filter {one} needs a profile and each item's interests: rank for a person to use it"
            )
        if operator == "=":
            return membership.belongs_to(item, one.value) != negated
        return any(fold(one.value) in path for path in membership.paths(item)) != negated
    wanted = fold(one.value)
    exact = field_name(one.field) in _TEXT_FIELDS
    return any(_holds(value, operator, wanted, exact) for value in field_values(item, one.field)) != negated


def _holds(value: str, operator: str, wanted: str, exact: bool) -> bool:
    if operator == "~":
        return wanted in value
    if operator == "=" and (value == wanted or exact):
        return value == wanted
    order = compare(value, wanted)
    if order is None:
        return False
    return {"=": order == 0, "<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0}[operator]


def _lacks(item: Item, one: Filter) -> bool:
    return field_name(one.field) != INTEREST and not field_values(item, one.field)
