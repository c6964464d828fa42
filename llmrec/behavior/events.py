"""Items, events and the two collections made of them: the catalogue and one person's history."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Annotated, Any, Literal, TypeVar, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from llmrec.errors import InputError

ModelT = TypeVar("ModelT", bound=BaseModel)

Action = Literal[
    "view",
    "click",
    "search",
    "save",
    "purchase",
    "rate",
    "like",
    "dislike",
    "review",
    "skip",
    "return",
    "say",
]
"""The actions with a known strength. Others are accepted when the settings give them one."""

KNOWN_ACTIONS: tuple[str, ...] = get_args(Action)

# 1990-01-01 to 2100-01-01: outside it a number is far likelier milliseconds or a default than a time.
EARLIEST_TIMESTAMP = 631_152_000.0
LATEST_TIMESTAMP = 4_102_444_800.0


def _well_formed(value: Any) -> Any:
    """Replace halves of surrogate pairs, which JSON readers let through and no encoder takes."""
    return value.encode("utf-8", "replace").decode("utf-8") if isinstance(value, str) else value


Text = Annotated[str, BeforeValidator(_well_formed)]


def parse_timestamp(value: Any) -> float | None:
    """Read a time given as seconds since the epoch or as ISO 8601 (without a zone: UTC).

    Returns seconds since the epoch, or None for None and for an empty string.
    Raises ValueError for anything that is not a time between 1990 and 2100.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is not a time")
    if isinstance(value, datetime):
        moment = value
    elif isinstance(value, (int, float)):
        moment = None
    else:
        text = str(value).strip()
        try:
            value, moment = float(text), None
        except ValueError:
            try:
                moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
            except ValueError:
                raise ValueError(f"{text[:40]!r} is neither seconds since the epoch nor ISO 8601") from None
    if moment is not None:
        value = (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds) or not EARLIEST_TIMESTAMP <= seconds < LATEST_TIMESTAMP:
        raise ValueError(f"{value!r} is not a time between the years 1990 and 2100, in seconds")
    return seconds


class Item(BaseModel):
    """Something that can be recommended. Only `id` and `title` are required."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Text = Field(min_length=1)
    title: Text
    description: Text = ""
    categories: tuple[Text, ...] = ()
    """Names of the catalogue's own categories, the most telling first."""
    attributes: dict[Text, Text] = Field(default_factory=dict)
    """Further facts by name, for example year, brand, director."""
    domain: Text | None = None
    """What kind of thing it is, for example films."""
    language: Text | None = None
    """ISO 639-1 code of the text's language; found from the text when absent."""

    @field_validator("id", mode="before")
    @classmethod
    def _id_as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("title")
    @classmethod
    def _title_says_something(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("the title is empty")
        return value

    @field_validator("attributes", mode="before")
    @classmethod
    def _attributes_as_text(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {str(k): str(v) for k, v in value.items() if v is not None and str(v).strip()}

    @field_validator("categories", mode="before")
    @classmethod
    def _categories_as_tuple(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value


class Event(BaseModel):
    """One thing a person did: an action on an item, or with a text (a search, a sentence, a review)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    user_id: Text = Field(min_length=1)
    action: Text = Field(min_length=1)
    item_id: Text | None = None
    text: Text | None = None
    value: float | None = None
    """What the action measures: a rating of 1 to 5, an amount bought."""
    timestamp: float | None = None
    """Seconds since the epoch (ISO 8601 is accepted); None when unknown."""
    id: Text = ""
    """Made from the other fields when absent, so equal events have equal ids."""

    @field_validator("user_id", "item_id", mode="before")
    @classmethod
    def _id_as_text(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("timestamp", mode="before")
    @classmethod
    def _timestamp_in_seconds(cls, value: Any) -> float | None:
        return parse_timestamp(value)

    @field_validator("value")
    @classmethod
    def _value_is_finite(cls, value: float | None) -> float | None:
        if value is not None and not math.isfinite(value):
            raise ValueError("the value is not a finite number")
        return value

    @model_validator(mode="after")
    def _item_or_text(self) -> Event:
        if not self.item_id and not (self.text and self.text.strip()):
            raise ValueError("an event needs an item_id or a text")
        if not self.id:
            parts = [self.user_id, self.action, self.item_id, self.text, self.value, self.timestamp]
            digest = hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode("utf-8", "surrogatepass"))
            object.__setattr__(self, "id", digest.hexdigest()[:16])
        return self


class Catalog(Mapping[str, Item]):
    """The items that can be recommended, by id, in the order they were given."""

    def __init__(self, items: Iterable[Item | Mapping[str, Any]] = ()) -> None:
        """Collect the items; equal repeats are merged.

        Raises InputError when an item is invalid, or when two items share an id but not their contents.
        """
        self._items: dict[str, Item] = {}
        for number, given in enumerate(items, start=1):
            item = given if isinstance(given, Item) else validate_record(Item, given, f"item {number}")
            known = self._items.setdefault(item.id, item)
            if known != item:
                raise InputError(
                    f"two items share the id {item.id!r} ({known.title[:60]!r} and {item.title[:60]!r}): "
                    "give each item an id of its own"
                )
        self._fingerprint: str | None = None

    def __getitem__(self, item_id: str) -> Item:
        return self._items[item_id]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    @property
    def items_in_order(self) -> list[Item]:
        """All items, in the order they were given."""
        return list(self._items.values())

    @property
    def fingerprint(self) -> str:
        """A hash of all items: equal catalogues have equal fingerprints."""
        if self._fingerprint is None:
            digest = hashlib.sha256()
            for item in self._items.values():
                digest.update(item.model_dump_json().encode("utf-8", "surrogatepass"))
            self._fingerprint = digest.hexdigest()[:16]
        return self._fingerprint


class HistoryEntry(BaseModel):
    """An event with the item it is about, as the later stages read it."""

    model_config = ConfigDict(frozen=True)

    event: Event
    item: Item | None = None
    strength: float
    """How much the action says before time is considered; negative for a dislike or a return."""
    decay: float = Field(ge=0, le=1)
    """What time has left of it: 1 for the person's last event, halved every half-life before it."""

    @property
    def weight(self) -> float:
        """Strength after decay."""
        return self.strength * self.decay

    @property
    def title(self) -> str:
        """What to call the event to a reader: the item's title, or the person's own words."""
        return self.item.title if self.item else (self.event.text or "")


class History(Sequence[HistoryEntry]):
    """One person's events in the order of time, each with its item and its weight."""

    def __init__(self, user_id: str, entries: Iterable[HistoryEntry] = ()) -> None:
        self.user_id = user_id
        self._entries = tuple(entries)

    def __getitem__(self, index: Any) -> Any:
        return self._entries[index]

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def item_ids(self) -> set[str]:
        """The ids of all items the person has touched."""
        return {entry.event.item_id for entry in self._entries if entry.event.item_id}


def validate_record(model: type[Any] | TypeAdapter[Any], record: Any, where: str) -> Any:
    """Validate one record, or raise InputError with one sentence that names the place and the fault."""
    try:
        if isinstance(model, TypeAdapter):
            return model.validate_python(record)
        return model.model_validate(record)
    except ValidationError as error:
        raise InputError(f"{where}: {describe_validation_error(error)}") from error


def validated(model: type[ModelT], given: ModelT | Mapping[str, Any] | None, where: str) -> ModelT:
    """A model as it is, a mapping validated, or the defaults. Raises InputError as `validate_record`."""
    if isinstance(given, model):
        return given
    found: ModelT = validate_record(model, given if given is not None else {}, where)
    return found


def describe_validation_error(error: ValidationError) -> str:
    """Say in one line what Pydantic found, without its links and its repetition of the input."""
    faults = [
        (".".join(str(part) for part in fault["loc"]), str(fault["msg"]).removeprefix("Value error, "))
        for fault in error.errors(include_url=False)
    ]
    return "; ".join(f"{place}: {message}" if place else message for place, message in faults)


def validated_events(events: Iterable[Event | Mapping[str, Any]]) -> list[Event]:
    """The events, each validated. Raises InputError naming the faulty one."""
    return [
        event if isinstance(event, Event) else validate_record(Event, event, f"event {number}")
        for number, event in enumerate(events, start=1)
    ]


def one_person(events: Sequence[Event], user_id: str | None) -> str:
    """Whose events these are. Raises InputError when they are of several people, or of another one."""
    people = dict.fromkeys(event.user_id for event in events)
    if len(people) > 1:
        names = ", ".join(list(people)[:3])
        raise InputError(
            f"these are events of {len(people)} people ({names}{', …' if len(people) > 3 else ''}): "
            "call profile once for each"
        )
    if user_id is not None and people and user_id not in people:
        raise InputError(
            f"the events are of {next(iter(people))!r}, not of {user_id!r}: give that person's own"
        )
    return user_id or next(iter(people), "unknown")
