"""Which of a person's interests an item belongs to, with the broader ones above."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from llmrec.behavior.events import Item
from llmrec.errors import InputError
from llmrec.interests.hierarchy import PATH_SEPARATOR
from llmrec.interests.profile import InterestProfile
from llmrec.ranking.reorder.quantities import fold

Belongs = Callable[[Item], Mapping[str, float]]
"""How surely an item belongs to each interest, from 0 to 1, by the interest's id."""


class InterestMembership:
    """A profile's interests and what tells which items belong to them; reads each item once."""

    def __init__(self, profile: InterestProfile, belongs: Belongs) -> None:
        self.hierarchy = profile.hierarchy
        self._profile = profile
        self._belongs = belongs
        self._shares: dict[str, tuple[Item, dict[str, float]]] = {}
        self._ids: dict[str, str] = {}
        self._names: dict[str, str] = {}

    def shares(self, item: Item) -> Mapping[str, float]:
        """How surely an item belongs to each interest, above 0 and up to 1, by id.

        What belongs to an interest belongs as surely to every broader one on the way up to it. Raises
        InputError for a share that is not from 0 to 1.
        """
        read, known = self._shares.get(item.id, (None, {}))
        if read == item:
            return known
        found: dict[str, float] = {}
        for interest_id, share in self._belongs(item).items():
            if not (math.isfinite(share) and 0 <= share <= 1):
                raise InputError(
                    f"the item {item.id!r} belongs to {interest_id!r} by {share}: give a share from 0 to 1"
                )
            if share > 0:
                inside = interest_id in self.hierarchy
                for above in self.hierarchy.ancestors(interest_id) if inside else (interest_id,):
                    found[above] = max(found.get(above, 0.0), share)
        self._shares[item.id] = item, found
        return found

    def belongs_to(self, item: Item, interest: str) -> bool:
        """Whether an item belongs to an interest, named as for `InterestProfile.find`.

        Raises InputError where the profile has no such interest.
        """
        if interest not in self._ids:
            self._ids[interest] = self._profile.find(interest)
        return self._ids[interest] in self.shares(item)

    def paths(self, item: Item) -> list[str]:
        """The labels from the top down to each interest the item belongs to, folded and joined by "›"."""
        return [self._name(interest_id) for interest_id in self.shares(item)]

    def _name(self, interest_id: str) -> str:
        if interest_id not in self._names:
            known = interest_id in self.hierarchy
            name = PATH_SEPARATOR.join(self.hierarchy.path(interest_id)) if known else interest_id
            self._names[interest_id] = fold(name)
        return self._names[interest_id]
