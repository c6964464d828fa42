"""Drawing the items beside a target: by which probability, and never what must not be among them."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.behavior.events import Catalog, Event
from llmrec.candidates.log import InteractionLog
from llmrec.errors import InputError
from llmrec.evaluation.negatives import NegativeSampler

IDS = [f"i{at}" for at in range(12)]
WORDS = [
    "red tea",
    "green tea",
    "tea pot",
    "tea cup",
    "chess",
    "go board",
    "茶壶",
    "紫砂茶壶",
    "a",
    "b",
    "c",
    "d",
]
CATALOG = Catalog({"id": i, "title": words} for i, words in zip(IDS, WORDS, strict=True))
LOG = InteractionLog({f"u{at}": ["i1", "i2"] if at < 3 else ["i2"] for at in range(12)})


def bought(*ids):
    return [Event(user_id="u", action="purchase", item_id=item_id) for item_id in ids]


def draw(sampler, count, history, targets, seed=0):
    return sampler.draw(count, history=history, targets=targets, generator=np.random.default_rng(seed))


@given(
    st.sampled_from(["random", "popularity", "retriever"]),
    st.sets(st.sampled_from(IDS), min_size=1, max_size=3),
    st.sets(st.sampled_from(IDS), max_size=5),
    st.integers(1, 15),
    st.integers(0, 1000),
)
def test_never_a_target_or_an_item_of_the_history(kind, targets, seen, count, seed):
    found = draw(NegativeSampler(CATALOG, LOG, kind), count, bought(*sorted(seen)), sorted(targets), seed)
    assert len(set(found)) == len(found) == min(count, len(set(IDS) - targets - seen))
    assert not set(found) & (targets | seen)


def test_random_ones_are_drawn_evenly():
    sampler = NegativeSampler(CATALOG, LOG, "random")
    counts = Counter(item for seed in range(2200) for item in draw(sampler, 1, [], ["i0"], seed))
    assert set(counts) == set(IDS) - {"i0"}
    expected = 200
    chi_square = sum((count - expected) ** 2 / expected for count in counts.values())
    assert chi_square < 29.6  # the 99.9% point with 10 degrees of freedom


def test_popular_ones_are_drawn_by_how_many_people_chose_them():
    sampler = NegativeSampler(CATALOG, LOG, "popularity")
    first = Counter(draw(sampler, 1, [], ["i0"], seed)[0] for seed in range(1000))
    assert set(first) == {"i1", "i2"}
    # i1 was chosen by 3 people and i2 by 12: one in five, with 13 as a standard deviation.
    assert 150 < first["i1"] < 250
    assert set(draw(sampler, 3, [], ["i0"])[:2]) == {"i1", "i2"}


def test_retrieved_ones_share_the_words_of_the_history():
    sampler = NegativeSampler(CATALOG, LOG, "retriever")
    assert set(draw(sampler, 2, bought("i0"), ["i3"])) == {"i1", "i2"}
    assert draw(sampler, 1, bought("i6"), ["i0"]) == ["i7"]
    said = [Event(user_id="u", action="search", text="go board")]
    assert draw(sampler, 1, said, ["i0"]) == ["i5"]


def test_they_are_of_the_targets_domain():
    catalog = Catalog({"id": i, "title": i, "domain": "food" if i < "i5" else "kitchen"} for i in IDS)
    sampler = NegativeSampler(catalog, LOG, "random")
    found = draw(sampler, 20, bought("i0"), ["i5"])
    assert {catalog[item].domain for item in found} == {"kitchen"}


def test_what_cannot_be_drawn():
    with pytest.raises(InputError, match="negatives by popularity need a log"):
        NegativeSampler(CATALOG, InteractionLog(), "popularity")
    with pytest.raises(InputError, match="negatives of the kind 'all' are not drawn"):
        NegativeSampler(CATALOG, LOG, "all")
