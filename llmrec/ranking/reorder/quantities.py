"""Numbers and dates as people and catalogues write them: `$19.99`, `1,299元`, `512 GB`, `1990-05-03`."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

_CURRENCIES: dict[str, frozenset[str]] = {
    **dict.fromkeys(("$", "us$", "usd"), frozenset({"usd"})),
    **dict.fromkeys(("€", "eur", "euro"), frozenset({"eur"})),
    **dict.fromkeys(("£", "gbp"), frozenset({"gbp"})),
    **dict.fromkeys(("元", "块", "人民币", "rmb", "cny"), frozenset({"cny"})),
    **dict.fromkeys(("円", "jpy"), frozenset({"jpy"})),
    # One sign for two currencies: it compares with both.
    "¥": frozenset({"cny", "jpy"}),
    **dict.fromkeys(("₩", "krw"), frozenset({"krw"})),
    **dict.fromkeys(("₹", "inr"), frozenset({"inr"})),
}
_FACTORS = {"": 1.0, "千": 1e3, "万": 1e4, "亿": 1e8}
_PREFIX = "|".join(re.escape(name) for name in sorted(_CURRENCIES, key=lambda name: (-len(name), name)))
_NUMBER = re.compile(
    rf"(?P<before>{_PREFIX})? ?(?P<sign>[-+−])?"
    r"(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+,\d{1,2}|\d+(?:\.\d+)?|\.\d+)"
    r" ?(?P<factor>[千万亿]?)(?P<after>[^\W\d_]{1,12}|[%°\"'$€£¥₩₹])?"
)
_DATE = re.compile(
    r"(?P<year>\d{4})(?:[-/](?P<month>\d{1,2})(?:[-/](?P<day>\d{1,2}))?"
    r"|年(?P<month_zh>\d{1,2})月(?:(?P<day_zh>\d{1,2})日)?)(?:[t ].*)?"
)


@dataclass(frozen=True)
class Quantity:
    """A number with what it counts."""

    number: float
    units: frozenset[str] = frozenset()
    """What it may be counted in, folded; empty where nothing is written beside it."""


Date = tuple[int, ...]
"""A year, a year and a month, or a whole date."""


def fold(text: str) -> str:
    """The text as it is compared: of one width (NFKC), without case, single spaces between words."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def parse_quantity(text: str) -> Quantity | None:
    """Read a text that is a number, with a currency or one word as its unit; None for any other text.

    Commas between groups of three digits are dropped; one before the last one or two digits is a decimal
    comma. 千, 万 and 亿 multiply.
    """
    found = _NUMBER.fullmatch(fold(text))
    if found is None:
        return None
    digits = found["digits"]
    grouped = re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", digits) is not None
    number = float(digits.replace(",", "" if grouped else ".")) * _FACTORS[found["factor"]]
    unit = found["before"] or found["after"]
    units = _CURRENCIES.get(unit, frozenset({unit})) if unit else frozenset()
    return Quantity(-number if found["sign"] in ("-", "−") else number, units)


def parse_date(text: str) -> Date | None:
    """Read `1990-05`, `1990-05-03`, `1990/5/3`, `1990年5月3日`, also with a time; None for any other text."""
    found = _DATE.fullmatch(fold(text))
    if found is None:
        return None
    parts = (found["year"], found["month"] or found["month_zh"], found["day"] or found["day_zh"])
    date = tuple(int(part) for part in parts if part)
    return date if 1 <= date[1] <= 12 and (len(date) < 3 or 1 <= date[2] <= 31) else None


def compare(first: str, second: str) -> int | None:
    """-1, 0 or 1 as the first is smaller than, equal to or larger than the second.

    Two numbers compare unless their units differ; a number without a unit compares with any. A date compares
    with another, or with a year, as exactly as the less exact of the two is told. None where the two cannot
    be compared.
    """
    left, right = parse_date(first), parse_date(second)
    if left is not None or right is not None:
        left, right = left or _year(first), right or _year(second)
        if left is None or right is None:
            return None
        exactness = min(len(left), len(right))
        return _sign(left[:exactness], right[:exactness])
    one, other = parse_quantity(first), parse_quantity(second)
    if one is None or other is None or (one.units and other.units and not one.units & other.units):
        return None
    return _sign((one.number,), (other.number,))


def _year(text: str) -> Date | None:
    quantity = parse_quantity(text)
    if quantity is None or not quantity.units <= {"年"} or not 1000 <= quantity.number < 3000:
        return None
    return (int(quantity.number),) if quantity.number.is_integer() else None


def _sign(left: tuple[float, ...], right: tuple[float, ...]) -> int:
    return (left > right) - (left < right)
