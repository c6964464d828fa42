from __future__ import annotations

import pytest

from llmrec.behavior.events import Item
from llmrec.errors import InputError
from llmrec.ranking.reorder.membership import InterestMembership
from tests.ranking.reorder.builders import by_category, film, person

HORROR = film("a", "horror")


def test_what_belongs_to_an_interest_belongs_to_the_broader_ones() -> None:
    membership = InterestMembership(person(horror=0.6, comedy=0.2), lambda _: {"films/horror": 0.7})
    assert membership.shares(HORROR) == {"films": 0.7, "films/horror": 0.7}
    assert membership.belongs_to(HORROR, "Films › Horror")
    assert membership.belongs_to(HORROR, "films")
    assert not membership.belongs_to(HORROR, "comedy")
    assert membership.paths(HORROR) == ["films", "films › horror"]


def test_an_item_is_read_once_and_a_changed_one_again() -> None:
    asked = []

    def belongs(item: Item) -> dict[str, float]:
        asked.append(item)
        return {"elsewhere": 1.0, "films/horror": 0.0}

    membership = InterestMembership(person(horror=0.6), belongs)
    assert membership.shares(HORROR) == membership.shares(HORROR) == {"elsewhere": 1.0}
    changed = film("a", "comedy")
    membership.shares(changed)
    assert asked == [HORROR, changed]
    assert membership.paths(HORROR) == ["elsewhere"]


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_a_share_out_of_range_is_refused(share: float) -> None:
    membership = InterestMembership(person(horror=0.6), lambda _: {"films/horror": share})
    with pytest.raises(InputError, match="give a share from 0 to 1"):
        membership.shares(HORROR)


def test_an_interest_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match="there is no interest 'westerns'"):
        InterestMembership(person(horror=0.6), by_category).belongs_to(HORROR, "westerns")
