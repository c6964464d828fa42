"""The signals that ask no model, with numbers worked by hand, and where there are none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from llmrec.behavior.events import Catalog, Event, Item
from llmrec.candidates.bm25 import Bm25Index, item_text
from llmrec.candidates.embedding import EmbeddingIndex
from llmrec.candidates.log import InteractionLog
from llmrec.candidates.log_signals import LogSignals
from llmrec.candidates.text_affinity import TextAffinity
from llmrec.candidates.text_vectors import WORD_DIMENSIONS, TextVectors
from llmrec.interests.profile import InterestProfile
from llmrec.interests.taxonomy import Vocabulary
from llmrec.ranking.lexical import InterestMatcher
from llmrec.ranking.signals import SignalSources, measure_signals
from tests.builders import SHOP, interest
from tests.interests.extraction_tools import ToldEmbedder
from tests.profiles import profile_of

NEAR: dict[str, list[float]] = {
    "ship": [1.0, 0.0, 0.0],
    "boat": [1.0, 0.2, 0.0],
    "garden": [0.0, 1.0, 0.0],
    "oven": [0.0, 0.2, 1.0],
    "手机": [0.5, 0.5, 0.5],
}
ITEMS: list[dict[str, Any]] = [
    {"id": "ship", "title": "quiet ship"},
    {"id": "boat", "title": "fast boat"},
    {"id": "garden", "title": "quiet garden"},
    {"id": "oven", "title": "oven"},
    {"id": "ship2", "title": "quiet ship"},
]
HISTORY_SIGNALS = {"bm25", "bm25_best"}
MEANING = {"embedding", "embedding_best"}
LOG = {"popularity", "co_occurrence", "item_factors", "popular_factors"}


def sources_of(
    records: Sequence[Mapping[str, Any]] = ITEMS,
    *,
    embedder: ToldEmbedder | None = None,
    log: InteractionLog | None = None,
    affinity: TextAffinity | None = None,
) -> SignalSources:
    """All indexes of a catalogue; the vectors are the embedder's own."""
    catalog = Catalog(records)
    items = catalog.items_in_order
    return SignalSources(
        catalog=catalog,
        index=Bm25Index(items),
        matcher=InterestMatcher(Vocabulary.load()),
        embedder=embedder,
        embeddings=EmbeddingIndex(embedder, items, remove_common=False) if embedder is not None else None,
        log=LogSignals(log, list(catalog)) if log is not None else None,
        affinity=affinity,
    )


def person(*liked: str, records: Sequence[Mapping[str, Any]] = ITEMS, **fields: Any) -> InterestProfile:
    events = [Event(user_id="a", action="like", id=f"e{at}", item_id=item) for at, item in enumerate(liked)]
    if not events:
        nobody = profile_of([Event(user_id="a", action="say", text="x")], **fields)
        return nobody.model_copy(
            update={"entries": (), "readings": (), "hierarchy": type(nobody.hierarchy)(), "hints": ()}
        )
    return profile_of(events, items=records, **fields)


def items(*ids: str) -> list[Item]:
    catalog = Catalog(ITEMS)
    return [catalog[item_id] for item_id in ids]


def test_words_of_the_history_count_by_recency() -> None:
    sources = sources_of()
    measured = measure_signals(sources, person("garden", "ship"), items("boat", "ship", "garden"), "both")
    by_ship, by_garden = sources.index.scores("quiet ship"), sources.index.scores("quiet garden")
    columns = [1, 0, 2]
    expected = (1.0 * by_ship + 0.9 * by_garden)[columns] / 1.9
    assert measured.values["bm25"] == pytest.approx(expected.tolist(), rel=1e-5)
    assert measured.values["bm25_best"] == pytest.approx(np.maximum(by_ship, by_garden)[columns].tolist())
    assert measured.values["bm25"][0] == 0
    (part, *_) = measured.matches.contributions(2)
    assert part.id == "e0"


def test_meaning_is_a_weighted_mean_of_cosines_and_the_nearest() -> None:
    sources = sources_of(embedder=ToldEmbedder(NEAR))
    values = measure_signals(sources, person("garden", "ship"), items("boat", "oven"), "history").values
    assert set(values) == HISTORY_SIGNALS | MEANING
    length = (1 + 0.2**2) ** 0.5
    near_ship, near_garden = np.array([1, 0]) / length, np.array([0.2, 0.2]) / length
    assert values["embedding"] == pytest.approx(((near_ship + 0.9 * near_garden) / 1.9).tolist(), abs=1e-6)
    assert values["embedding_best"] == pytest.approx(np.maximum(near_ship, near_garden).tolist(), abs=1e-6)


def test_the_log_speaks_by_the_ids_of_what_was_liked() -> None:
    log = InteractionLog({f"p{n}": ["ship", "garden"] if n < 15 else ["boat", "oven"] for n in range(25)})
    sources = sources_of(log=log)
    assert sources.log is not None
    measured = measure_signals(sources, person("boat", "ship"), items("garden", "oven", "ship2"), "both")
    assert set(measured.values) == HISTORY_SIGNALS | LOG | {"interests"}
    every = sources.log.scores([("ship", 1.0), ("boat", 0.9)])
    for name in LOG:
        assert measured.values[name] == pytest.approx([float(every[name][at]) for at in (2, 3, 4)])
    assert measured.values["popularity"] == pytest.approx(np.log1p([15, 10, 0]).tolist(), rel=1e-5)
    assert measured.values["co_occurrence"][0] > measured.values["co_occurrence"][2] == 0


def test_interests_count_unless_the_history_alone_does() -> None:
    records = [
        {"id": "alien", "title": "Alien", "categories": ["Horror"], "domain": "films"},
        {"id": "emma", "title": "Emma", "categories": ["Romance"], "domain": "films"},
    ]
    interests = (interest("films", "e0", weight=0.6), interest("films/horror", "e0", weight=0.4))
    profile = profile_of(
        [Event(user_id="a", action="like", id="e0", item_id="alien")], *interests, items=records
    )
    sources = sources_of(records)
    both = measure_signals(sources, profile, sources.catalog.items_in_order, "both").values
    assert set(both) == HISTORY_SIGNALS | {"interests"}
    share = both["interests"][1] / 0.6
    assert 0.9 < share <= 1, "how surely a film belongs to films"
    assert both["interests"][0] == pytest.approx((0.6 + 0.4) * share)
    assert (
        "interests" not in measure_signals(sources, profile, sources.catalog.items_in_order, "history").values
    )
    alone = measure_signals(sources, profile, sources.catalog.items_in_order, "profile")
    assert set(alone.values) == {"interest_words", "hints", "interests"}
    assert alone.matches.of == "interests"
    assert alone.values["interest_words"][0] > alone.values["interest_words"][1] == 0


def test_the_profile_alone_leaves_out_what_the_history_says() -> None:
    log = InteractionLog({f"p{n}": ["ship", "garden"] for n in range(25)})
    sources = sources_of(embedder=ToldEmbedder(NEAR), log=log)
    values = measure_signals(sources, person("ship"), items("garden", "boat"), "profile").values
    assert set(values) == {"interest_words", "hints", "interests"}


def test_an_embedder_is_not_asked_about_a_language_it_does_not_know() -> None:
    sources = sources_of(SHOP, embedder=ToldEmbedder(NEAR))
    phones = [Item.model_validate(item) for item in SHOP[:3]]
    chinese = measure_signals(sources, person("mi14", records=SHOP, language="zh"), phones, "history")
    assert set(chinese.values) == HISTORY_SIGNALS
    assert chinese.values["bm25"][0] > chinese.values["bm25"][1] > 0
    english = measure_signals(sources, person("mi14", records=SHOP), phones, "history")
    assert set(english.values) == HISTORY_SIGNALS | MEANING
    assert not sources_of().speaks("en"), "there is none"


def test_nobody_known_has_no_signals_but_popularity() -> None:
    log = InteractionLog({f"p{n}": ["ship", "garden"] for n in range(25)})
    for given in (None, log):
        sources = sources_of(embedder=ToldEmbedder(NEAR), log=given)
        values = measure_signals(sources, person(), items("garden", "boat"), "both").values
        telling = {name for name, found in values.items() if any(found)}
        assert telling == ({"popularity"} if given is not None else set())


@pytest.mark.parametrize("basis", ["both", "history", "profile"])
def test_no_items_have_no_values_and_one_has_one(basis: Any) -> None:
    log = InteractionLog({f"p{n}": ["ship", "garden"] for n in range(25)})
    sources = sources_of(embedder=ToldEmbedder(NEAR), log=log)
    for candidates in ([], items("garden")):
        for profile in (person("ship"), person()):
            measured = measure_signals(sources, profile, candidates, basis)
            assert {len(found) for found in measured.values.values()} == {len(candidates)}


def test_items_alike_have_values_alike_whatever_the_order() -> None:
    log = InteractionLog({f"p{n}": ["ship", "garden"] for n in range(25)})
    ids = ["oven", "ship", "boat", "ship2"]
    sources = sources_of(embedder=ToldEmbedder(NEAR), log=log)
    one, other = (
        measure_signals(sources, person("garden", "boat"), items(*order), "both").values
        for order in (ids, ids[::-1])
    )
    for name, found in one.items():
        assert list(reversed(other[name])) == pytest.approx(list(found), abs=1e-6), name
        if name not in LOG:
            assert found[1] == pytest.approx(found[3], abs=1e-6), "the same texts"


def test_items_that_the_catalogue_lacks_are_compared_among_themselves() -> None:
    log = InteractionLog({f"p{n}": ["ship", "garden"] for n in range(25)})
    sources = sources_of(embedder=ToldEmbedder(NEAR), log=log)
    new = Item(id="new", title="new quiet ship")
    candidates = [new, *items("garden", "oven")]
    values = measure_signals(sources, person("ship"), candidates, "both").values
    own = Bm25Index(candidates)
    assert values["bm25"] == pytest.approx(own.scores("quiet ship").tolist(), rel=1e-5)
    assert set(values) == HISTORY_SIGNALS | MEANING | LOG | {"interests"}
    assert values["popularity"] == pytest.approx([0, np.log1p(25), 0], rel=1e-5)
    assert values["co_occurrence"][0] == 0 < values["co_occurrence"][1]
    assert all(np.isfinite(found).all() for found in values.values())


def test_an_item_of_another_text_under_a_known_id_is_read_as_it_is_given() -> None:
    changed = Item(id="oven", title="another quiet ship")
    values = measure_signals(sources_of(), person("ship"), [changed, *items("garden")], "history").values
    assert values["bm25"][0] > values["bm25"][1]


def test_the_affinity_reads_words_and_meaning_also_of_items_outside_the_catalogue() -> None:
    width = 64 + WORD_DIMENSIONS
    affinity = TextAffinity(
        history_mean=np.zeros(width),
        item_mean=np.zeros(width),
        history_map=np.eye(width)[:, :2],
        item_map=np.eye(width)[:, :2],
        correlations=np.array([0.6, 0.3]),
        appeal_direction=np.eye(width)[1],
        vectors_of="told+words512",
        pairs=1,
    )
    plain = sources_of(embedder=ToldEmbedder(NEAR))
    texts = TextVectors.of_items(plain.embedder, plain.catalog.items_in_order)
    sources = replace(plain, affinity=affinity, texts=texts)
    chosen = [*items("boat", "garden"), Item(id="x", title="a boat")]
    values = measure_signals(sources, person("garden", "ship"), chosen, "both").values
    vectors = texts.vectors([item_text(item) for item in chosen])
    history = texts.vectors([item_text(item) for item in items("ship", "garden")])
    assert values["text_affinity"] == pytest.approx(affinity.affinity(history, [1.0, 0.9], vectors).tolist())
    assert values["text_appeal"] == pytest.approx(vectors[:, 1].tolist())


def test_places_are_made_once() -> None:
    sources = sources_of()
    assert sources.places == {"ship": 0, "boat": 1, "garden": 2, "oven": 3, "ship2": 4}
    assert sources.places is sources.places
