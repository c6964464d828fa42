"""What every index and source of candidates keeps to, on logs and catalogues that are odd."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec.behavior.events import Item
from llmrec.candidates.bm25 import Bm25Index, item_text
from llmrec.candidates.co_occurrence import CoOccurrence
from llmrec.candidates.embedding import EmbeddingIndex
from llmrec.candidates.item_factors import ItemFactors
from llmrec.candidates.item_places import WeightedItems
from llmrec.candidates.log import InteractionLog
from llmrec.candidates.popularity import Popularity
from llmrec.errors import InputError
from llmrec.llm.embedder import FloatMatrix, unit_rows

Build = Callable[[InteractionLog, list[Item]], Callable[[WeightedItems], np.ndarray]]


class LetterEmbedder:
    """Counts letters."""

    name = fingerprint = "letters"
    dimensions = 16
    languages = ()

    def embed(self, texts: Sequence[str]) -> FloatMatrix:
        rows = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            for letter in text.replace(" ", ""):
                row[ord(letter) % self.dimensions] += 1
        return unit_rows(rows)

    def close(self) -> None:
        pass


def ids(items: list[Item]) -> list[str]:
    return [item.id for item in items]


def by_text(items: list[Item], score: Callable[[str], np.ndarray]) -> Callable[[WeightedItems], np.ndarray]:
    """Score a history by the texts of its items; what is not in the catalogue has none."""
    texts = {item.id: item_text(item) for item in items}

    def scores(history: WeightedItems) -> np.ndarray:
        total = np.zeros(len(items), dtype=np.float32)
        for item_id, weight in history:
            total = total + np.float32(weight) * score(texts.get(str(item_id), ""))
        return total

    return scores


def embedded(log: InteractionLog, items: list[Item], **options) -> Callable[[WeightedItems], np.ndarray]:
    index = EmbeddingIndex(LetterEmbedder(), items, **options)
    texts = {item.id: item_text(item) for item in items}
    return lambda history: index.scores(
        [texts.get(str(item), "") for item, _ in history], [weight for _, weight in history]
    )


FROM_TEXTS: dict[str, Build] = {
    "bm25": lambda log, items: by_text(items, Bm25Index(items).scores),
    "embedding": embedded,
    "embedding as it is": lambda log, items: embedded(log, items, remove_common=False),
}
FROM_LOG: dict[str, Build] = {
    "popularity": lambda log, items: lambda history: Popularity(log, ids(items)).scores(),
    "co_occurrence": lambda log, items: CoOccurrence(log, ids(items)).scores,
    "item_factors": lambda log, items: ItemFactors(log, ids(items), 3).scores,
    "item_factors of any length": lambda log, items: (
        lambda history: ItemFactors(log, ids(items), 3).scores(history, unit=False)
    ),
}
EVERY = {**FROM_TEXTS, **FROM_LOG}
PERSONAL = [name for name in EVERY if name != "popularity"]

ITEMS = [
    Item(id="手机", title="小米14 手机"),
    Item(id="壳", title="小米手机壳"),
    Item(id="a", title="quiet ship"),
    Item(id="b", title="loud ship"),
    Item(id="c", title="!!!"),
]
LOG = InteractionLog(
    {"小雨": ["手机", "壳", "x"], "ana": ["a", "b", "手机"], "leo": ["壳", "手机"], "kim": ["a", "b", "a"]}
)
HISTORY: WeightedItems = [("手机", 1.0), ("a", 0.25)]


@pytest.mark.parametrize("name", EVERY)
class TestEvery:
    def test_one_finite_number_an_item(self, name: str) -> None:
        scores = EVERY[name](LOG, ITEMS)(HISTORY)
        assert scores.shape == (5,)
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()

    def test_the_same_gives_the_same(self, name: str) -> None:
        first, second = (EVERY[name](LOG, ITEMS)(HISTORY) for _ in range(2))
        assert np.array_equal(first, second)

    def test_an_empty_catalogue(self, name: str) -> None:
        assert EVERY[name](LOG, [])(HISTORY).shape == (0,)

    def test_one_item(self, name: str) -> None:
        scores = EVERY[name](LOG, ITEMS[:1])([("手机", 1.0)])
        assert scores.shape == (1,)
        assert np.isfinite(scores).all()

    def test_an_empty_log(self, name: str) -> None:
        scores = EVERY[name](InteractionLog(), ITEMS)(HISTORY)
        assert np.isfinite(scores).all()
        if name in FROM_LOG:
            assert not scores.any()

    @settings(max_examples=20)
    @given(
        st.dictionaries(st.sampled_from("uvw"), st.lists(st.sampled_from(["a", "b", "壳", "x"]), max_size=6)),
        st.lists(st.tuples(st.sampled_from(["手机", "a", "c", "x"]), st.floats(-1, 1)), max_size=4),
    )
    def test_any_log_and_history(self, name: str, sequences: dict, history: WeightedItems) -> None:
        scores = EVERY[name](InteractionLog(sequences), ITEMS)(history)
        assert scores.shape == (5,)
        assert np.isfinite(scores).all()


@pytest.mark.parametrize("name", PERSONAL)
class TestPersonal:
    def test_no_history_and_unknown_items_say_nothing(self, name: str) -> None:
        score = EVERY[name](LOG, ITEMS)
        assert not score([]).any()
        assert not score([("nowhere", 1.0), ("", 2.0)]).any()

    def test_a_weight_of_nothing_says_nothing(self, name: str) -> None:
        assert not EVERY[name](LOG, ITEMS)([("手机", 0.0)]).any()

    def test_unknown_items_change_no_order(self, name: str) -> None:
        score = EVERY[name](LOG, ITEMS)
        alone, beside = score(HISTORY), score([*HISTORY, ("nowhere", 0.5)])
        assert np.array_equal(np.argsort(-alone, kind="stable"), np.argsort(-beside, kind="stable"))

    def test_chinese_works(self, name: str) -> None:
        scores = EVERY[name](LOG, ITEMS)([("手机", 1.0)])
        others = range(1, 5)
        assert max(others, key=lambda at: scores[at]) == 1

    def test_a_greater_weight_counts_more(self, name: str) -> None:
        score = EVERY[name](LOG, ITEMS)
        towards_phone = score([("手机", 0.9), ("a", 0.1)])
        towards_ship = score([("手机", 0.1), ("a", 0.9)])
        assert towards_phone[1] > towards_ship[1]
        assert towards_phone[3] < towards_ship[3]


@pytest.mark.parametrize("name", [name for name in FROM_LOG if name != "popularity"])
def test_faulty_histories_are_told(name: str) -> None:
    score = FROM_LOG[name](LOG, ITEMS)
    with pytest.raises(InputError, match="no item at the place 9"):
        score([(9, 1.0)])
    with pytest.raises(InputError, match="finite"):
        score([("a", float("nan"))])


@pytest.mark.parametrize("kind", [Popularity, CoOccurrence, ItemFactors])
def test_an_id_given_twice_is_told(kind: type) -> None:
    with pytest.raises(InputError, match="listed twice"):
        kind(LOG, ["a", "b", "a"])
