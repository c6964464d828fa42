"""A person whose interests are known to the digit, and items that belong to them by their categories."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from llmrec.behavior.events import Event, Item
from llmrec.interests.profile import InterestProfile
from tests.builders import interest
from tests.profiles import profile_of

SEEN = {"id": "seen", "title": "Alien", "categories": ["Horror"]}


def person(**balances: float) -> InterestProfile:
    """A profile with an interest `films` and, below it, one leaf of each name with its balance."""
    event = Event(user_id="ana", action="like", item_id="seen", id="e1")
    above = interest("films", "e1", weight=max(0.0, min(1.0, sum(balances.values()))))
    below = [
        interest(
            f"films/{name}",
            "e1",
            weight=abs(balance),
            polarity="negative" if balance < 0 else "positive",
        )
        for name, balance in balances.items()
    ]
    return profile_of([event], above, *below, items=[SEEN])


def film(item_id: str, *categories: str, **fields: Any) -> Item:
    """A film of some categories."""
    return Item(id=item_id, title=fields.pop("title", f"film {item_id}"), categories=categories, **fields)


def by_category(item: Item) -> Mapping[str, float]:
    """A film belongs to the leaf of each of its categories, surely."""
    return {f"films/{category}": 1.0 for category in item.categories}
