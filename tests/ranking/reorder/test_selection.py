from __future__ import annotations

import itertools
import math
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec.behavior.events import Item
from llmrec.errors import InputError
from llmrec.ranking.reorder import Reordered, Reordering, category_similarity, reorder, word_similarity
from llmrec.ranking.reorder.calibration import divergence
from llmrec.ranking.reorder.selection import unit_range
from tests.ranking.reorder.builders import by_category, film, person

FILMS = [film("a", "horror"), film("b", "horror"), film("c", "comedy"), film("d", "horror", "comedy")]
SCORES = [4.0, 3.0, 2.0, 0.0]
PERSON = person(horror=0.4, comedy=0.4)


def by_score(items: Sequence[Item], scores: Sequence[float], places: Sequence[int]) -> list[int]:
    return sorted(places, key=lambda at: (-scores[at], items[at].id))


def ids(found: Reordered, items: Sequence[Item] = FILMS) -> list[str]:
    return [items[at].id for at in found.order]


def test_mmr_is_as_by_hand() -> None:
    # s is 1, 0.75, 0.5, 0. After a, b is charged 1, c nothing, d a half.
    found = reorder(FILMS, SCORES, Reordering(diversity=0.5), similarity=category_similarity, k=4)
    # Second: b 0.375 - 0.5, c 0.25 - 0, d 0 - 0.25. Third: b -0.125, d -0.25.
    assert ids(found) == ["a", "c", "b", "d"]
    assert [(one.relevance, one.diversity) for one in found.placements] == [
        (0.5, 0.0),
        (0.25, 0.0),
        (0.375, -0.5),
        (0.0, -0.25),
    ]
    assert [(one.item_id, one.from_rank, one.to_rank) for one in found.moved] == [("c", 3, 2), ("b", 2, 3)]
    little = reorder(FILMS, SCORES, Reordering(diversity=0.15), similarity=category_similarity, k=4)
    # b: 0.85 * 0.75 - 0.15 = 0.4875 is more than c's 0.425.
    assert ids(little) == ["a", "b", "c", "d"]


def test_calibration_is_as_by_hand() -> None:
    found = reorder(FILMS, SCORES, Reordering(calibration=0.5), profile=PERSON, belongs=by_category, k=3)
    empty = -math.log(0.01)
    horror = 0.5 * math.log(0.5 / 0.995) + 0.5 * math.log(0.5 / 0.005)
    # First: a 0.5 - KL(horror) / 2 = 0.5 - 0.80, d 0 - 0. So d, the one that is both, leads.
    assert 0.5 - horror / 2 < 0
    # Then a: 0.5 - KL(3/4, 1/4) / 2, b with less of relevance, c: 0.25 - the same.
    mixed = 0.5 * math.log(0.5 / (0.99 * 0.75 + 0.005)) + 0.5 * math.log(0.5 / (0.99 * 0.25 + 0.005))
    # Last: c makes the halves equal: 0.25 - 0; b: 0.375 - KL(5/6, 1/6) / 2.
    uneven = 0.5 * math.log(0.5 / (0.99 * 5 / 6 + 0.005)) + 0.5 * math.log(0.5 / (0.99 / 6 + 0.005))
    assert 0.375 - uneven / 2 < 0.25
    assert ids(found) == ["d", "a", "c"]
    assert [one.calibration for one in found.placements] == pytest.approx([empty / 2, -mixed / 2, mixed / 2])
    assert [one.relevance for one in found.placements] == [0.0, 0.5, 0.25]
    assert found.rest == (1,)


def test_areas_and_leaves_are_calibrated_to_apart() -> None:
    options = Reordering(calibration=0.9, calibration_level="areas")
    found = reorder(FILMS, SCORES, options, profile=PERSON, belongs=by_category, k=4)
    # All four are films and nothing else: there is nothing to calibrate.
    assert ids(found) == ["a", "b", "c", "d"]


def test_novelty_prefers_what_few_chose_and_says_so() -> None:
    popularity = {"a": 1000, "b": 10, "c": 0, "d": 0}
    found = reorder(FILMS, SCORES, Reordering(novelty=1), popularity=popularity, k=4)
    assert ids(found) == ["c", "d", "b", "a"]
    assert found.placements[0].novelty == 1
    assert found.notes == ("novelty is that few people chose an item",)


def test_without_a_log_novelty_is_being_unlike_the_history() -> None:
    # The person saw Alien, a film of the category Horror.
    found = reorder(
        FILMS,
        SCORES,
        Reordering(novelty=1),
        profile=PERSON,
        similarity=category_similarity,
        popularity={},
        k=4,
    )
    assert ids(found) == ["c", "d", "a", "b"]
    assert "unlike the history" in found.notes[0]
    nothing = reorder(FILMS, SCORES, Reordering(novelty=1), k=4)
    assert ids(nothing) == ["a", "b", "c", "d"]
    assert nothing.notes == ("novelty did nothing: neither a log nor a history with items is there",)


def test_caps_bound_every_value_and_leave_places_empty_rather_than_break() -> None:
    found = reorder(FILMS, SCORES, Reordering(caps={"Category": 1}), k=3)
    assert ids(found) == ["a", "c"]
    assert found.rest == (1, 3)
    assert [(one.item_id, one.from_rank, one.cap, one.value) for one in found.kept_out] == [
        ("b", 2, "category", "horror")
    ]
    assert found.notes == (
        "the cap of 1 on each category kept out 1 item that its score would list",
        "the cap on category left 1 place empty",
    )


def test_caps_on_attributes_domains_and_languages() -> None:
    phones = [
        Item(id="1", title="小米14", attributes={"brand": "小米"}),
        Item(id="2", title="小米15", attributes={"Brand": " 小米 "}),
        Item(id="3", title="vivo X100", attributes={"brand": "vivo"}, language="en-US"),
        Item(id="4", title="vivo Y", attributes={}, language="en"),
        Item(id="5", title="no brand", domain="x"),
    ]
    falling = [5.0, 4.0, 3.0, 2.0, 1.0]

    def listed(**caps: int) -> list[str]:
        return ids(reorder(phones, falling, Reordering(caps=caps), k=5), phones)

    assert listed(brand=1) == ["1", "3", "4", "5"]
    assert listed(language=1) == ["1", "3"]
    assert listed(domain=1) == ["1", "2", "3", "4", "5"]
    assert listed(brand=1, language=2) == ["1", "3", "4"]
    assert reorder(phones, falling, Reordering(caps={"colour": 1}), k=2).notes == (
        "the cap on colour did nothing: no item has a colour",
    )


def test_filters_come_first_and_are_reported() -> None:
    options = Reordering.model_validate({"filters": ["category!=comedy", "interest=Horror"]})
    found = reorder(FILMS, SCORES, options, profile=PERSON, belongs=by_category, k=10)
    assert ids(found) == ["a", "b"]
    assert found.rest == ()
    assert found.notes == ("the filter category!=comedy left out 2 of 4 items",)
    # What was filtered has no part in the range of scores.
    assert [one.relevance for one in found.placements] == [1, 0]


def test_nothing_to_order_gives_nothing() -> None:
    everything = Reordering(diversity=0.2, calibration=0.2, novelty=0.2, caps={"brand": 1})
    found = reorder([], [], everything, profile=PERSON, belongs=by_category, popularity={"a": 1}, k=5)
    assert (found.order, found.rest, found.placements) == ((), (), ())
    assert found.notes == ("the cap on brand did nothing: no item has a brand",)


def test_items_that_are_alike_in_everything_stand_by_id() -> None:
    items = [film(name, "horror", title="the same") for name in "dbca"]
    options = Reordering(diversity=0.3, calibration=0.3, novelty=0.3)
    found = reorder(items, [1.0] * 4, options, profile=PERSON, belongs=by_category, popularity={"x": 3}, k=4)
    assert ids(found, items) == ["a", "b", "c", "d"]


def test_a_profile_without_interests_is_not_calibrated_to() -> None:
    options = Reordering(calibration=0.5)
    found = reorder(FILMS, SCORES, options, profile=person(horror=-0.5), belongs=by_category, k=4)
    assert ids(found) == ["a", "b", "c", "d"]
    assert found.notes == ("calibration did nothing: the profile has no positive interests",)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"scores": [1.0]}, "4 items and 1 scores"),
        ({"scores": [1.0, 2.0, math.nan, 0.0]}, "the score of the item 'c' is nan"),
        ({"scores": [1.0, 2.0, math.inf, 0.0]}, "the score of the item 'c' is inf"),
        ({"k": 0}, "k is 0"),
        ({"options": Reordering(calibration=0.5)}, "calibration needs a profile"),
        ({"options": Reordering.model_validate({"filters": ["interest=x"]})}, "needs a profile"),
        (
            {"options": Reordering(diversity=0.5), "similarity": lambda rows, _: np.zeros((len(rows), 2))},
            "the similarity gave numbers of the shape",
        ),
        (
            {"options": Reordering(diversity=0.5), "similarity": lambda rows, _: np.full((4, 4), np.nan)},
            "not finite",
        ),
        ({"options": Reordering(novelty=0.5), "popularity": {"a": -1}}, "the popularity of 'a' is -1"),
    ],
)
def test_what_cannot_be_used_is_refused(wrong: dict[str, Any], told: str) -> None:
    given: dict[str, Any] = {"items": FILMS, "scores": SCORES, "options": Reordering(), "k": 3, **wrong}
    with pytest.raises(InputError, match=told):
        reorder(given.pop("items"), given.pop("scores"), given.pop("options"), **given)


categories = st.lists(st.sampled_from(["horror", "comedy", "drama"]), unique=True, max_size=2)
weights = st.sampled_from([0.0, 0.1, 0.3])


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[Item], list[float], Reordering, int]:
    count = draw(st.integers(0, 9))
    items = [
        film(
            f"i{at}",
            *draw(categories),
            attributes={"brand": draw(st.sampled_from(["x", "y", ""]))},
        )
        for at in range(count)
    ]
    scores = draw(st.lists(st.floats(-1e6, 1e6), min_size=count, max_size=count))
    caps = draw(st.dictionaries(st.sampled_from(["brand", "category"]), st.integers(1, 3)))
    filters = draw(st.lists(st.sampled_from(["brand!=x", "category!=drama", "title~film"]), unique=True))
    options = Reordering.model_validate(
        {
            "diversity": draw(weights),
            "calibration": draw(weights),
            "novelty": draw(weights),
            "caps": caps,
            "filters": filters,
        }
    )
    return items, scores, options, draw(st.integers(1, 12))


def reordered(case: tuple[list[Item], list[float], Reordering, int]) -> Reordered:
    items, scores, options, k = case
    popularity = {item.id: float(at) for at, item in enumerate(items)}
    return reorder(items, scores, options, profile=PERSON, belongs=by_category, popularity=popularity, k=k)


@given(cases())
def test_every_item_that_passes_is_there_once(case: tuple[list[Item], list[float], Reordering, int]) -> None:
    items, scores, options, k = case
    found = reordered(case)
    passed = [
        at
        for at, item in enumerate(items)
        if not any(
            (str(one) == "brand!=x" and item.attributes.get("brand") == "x")
            or (str(one) == "category!=drama" and "drama" in item.categories)
            for one in options.filters
        )
    ]
    assert sorted((*found.order, *found.rest)) == passed
    assert len(found.order) <= k
    if not options.caps:
        assert len(found.order) == min(k, len(passed))
    ranks = {at: rank for rank, at in enumerate(by_score(items, scores, passed), start=1)}
    assert list(found.rest) == sorted(found.rest, key=ranks.__getitem__)
    assert [(one.item_id, one.from_rank, one.to_rank) for one in found.placements] == [
        (items[at].id, ranks[at], rank) for rank, at in enumerate(found.order, start=1)
    ]
    assert found == reordered(case)


@given(cases())
def test_no_cap_is_exceeded_and_none_leaves_a_place_that_an_item_could_have(
    case: tuple[list[Item], list[float], Reordering, int],
) -> None:
    items, _, options, k = case
    found = reordered(case)

    def values(at: int, name: str) -> Sequence[str]:
        brand = items[at].attributes.get("brand")
        return items[at].categories if name == "category" else [brand] if brand else []

    counts = {name: Counter(v for at in found.order for v in values(at, name)) for name in options.caps}
    for name, most in options.caps.items():
        assert all(count <= most for count in counts[name].values())
    if len(found.order) < k:
        for at in found.rest:
            assert any(
                counts[name][value] == most
                for name, most in options.caps.items()
                for value in values(at, name)
            )


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=12), st.integers(1, 15))
def test_with_no_weights_the_order_is_that_of_the_scores(scores: list[float], k: int) -> None:
    items = [film(f"i{at}") for at in range(len(scores))]
    found = reorder(items, scores, Reordering(), k=k)
    assert [*found.order, *found.rest] == by_score(items, scores, range(len(items)))
    assert found.moved == ()


def brute_force(
    items: Sequence[Item], scores: Sequence[float], options: Reordering, popularity: dict[str, float], k: int
) -> list[int]:
    """The same list from the definitions, every part computed anew for every item at every place."""
    relevance = unit_range(scores)
    bits = unit_range([-math.log2(popularity[item.id] + 1) for item in items])
    alike = word_similarity(items)(items, items)
    wanted = np.array([0.5, 0.5])

    def kl(listed: Sequence[int]) -> float:
        shares = np.zeros(2)
        for at in listed:
            own = items[at].categories
            shares += [("horror" in own) / max(1, len(own)), ("comedy" in own) / max(1, len(own))]
        return float(divergence(wanted, shares / max(1, len(listed))))

    listed: list[int] = []
    while len(listed) < min(k, len(items)):
        values = {}
        for at in range(len(items)):
            if at not in listed:
                values[at] = round(
                    options.relevance * relevance[at]
                    - options.diversity * max((alike[at, other] for other in listed), default=0.0)
                    + options.calibration * (kl(listed) - kl([*listed, at]))
                    + options.novelty * bits[at],
                    9,
                )
        listed.append(min(values, key=lambda at: (-values[at], -scores[at], items[at].id)))
    return listed


@settings(deadline=None)
@given(cases())
def test_the_list_is_that_of_the_definitions(case: tuple[list[Item], list[float], Reordering, int]) -> None:
    items, _, options, k = case
    scores = [float(at * 7 % 5) for at in range(len(items))]
    options = options.model_copy(update={"caps": {}, "filters": ()})
    popularity = {item.id: float(at * 3 % 4) for at, item in enumerate(items)}
    found = reorder(
        items,
        scores,
        options,
        profile=PERSON,
        belongs=by_category,
        popularity=popularity,
        similarity=word_similarity(items),
        k=k,
    )
    assert list(found.order) == brute_force(items, scores, options, popularity, k)


def test_full_calibration_of_items_of_one_interest_is_the_best_there_is() -> None:
    wanted, profile = np.array([0.5, 0.3, 0.2]), person(x=0.5, y=0.3, z=0.2)

    def kl(counts: Sequence[int]) -> float:
        return float(divergence(wanted, np.array(counts) / sum(counts)))

    for there in itertools.product(range(4), repeat=3):
        items = [film(f"{name}{at}", name) for name, n in zip("xyz", there, strict=True) for at in range(n)]
        for k in range(1, min(5, len(items)) + 1):
            found = reorder(
                items,
                [0.0] * len(items),
                Reordering(calibration=1),
                profile=profile,
                belongs=by_category,
                k=k,
            )
            own = Counter(items[at].categories[0] for at in found.order)
            possible = [
                counts
                for counts in itertools.product(*(range(n + 1) for n in there))
                if sum(counts) == len(found.order)
            ]
            assert kl([own[name] for name in "xyz"]) == pytest.approx(min(map(kl, possible)))


@given(cases())
def test_full_calibration_begins_with_the_item_nearest_to_the_profile(
    case: tuple[list[Item], list[float], Reordering, int],
) -> None:
    items, scores, _, _ = case

    def kl(item: Item) -> float:
        own = item.categories
        shares = [(name in own) / max(1, len(own)) for name in ("horror", "comedy")]
        return round(float(divergence(np.array([0.5, 0.5]), np.array(shares))), 9)

    found = reorder(items, scores, Reordering(calibration=1), profile=PERSON, belongs=by_category, k=1)
    assert [kl(items[at]) for at in found.order] == sorted(map(kl, items))[:1]


def test_the_values_are_brought_to_one_range() -> None:
    assert unit_range([3.0, 1.0, 2.0]).tolist() == [1, 0, 0.5]
    assert unit_range([2.0, 2.0]).tolist() == [0, 0]
    assert unit_range([0.1 + 0.2, 0.3]).tolist() == [0, 0]
    assert unit_range([1e-60, 0.0]).tolist() == [1, 0]
    assert unit_range([]).tolist() == []
    assert unit_range([1.7e308, -1.7e308]).tolist() == [1, 0]


def test_a_thousand_candidates_do_not_take_long() -> None:
    random = np.random.default_rng(0)
    words = [f"word{at}" for at in range(3000)]
    items = [
        film(
            f"i{at}",
            *random.choice(["horror", "comedy", "drama"], 2),
            title=" ".join(random.choice(words, 30)),
        )
        for at in range(1000)
    ]
    options = Reordering(diversity=0.3, calibration=0.3, novelty=0.1, caps={"category": 60})
    scores = random.random(1000).tolist()
    popularity = {item.id: float(at) for at, item in enumerate(items)}
    began = time.process_time()
    found = reorder(items, scores, options, profile=PERSON, belongs=by_category, popularity=popularity, k=100)
    assert len(found.order) == 100
    assert time.process_time() - began < 2
