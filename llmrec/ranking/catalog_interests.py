"""Which interests the items of a catalogue belong to, as a matrix: what questions are chosen by."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import numpy.typing as npt

from llmrec.behavior.events import Item
from llmrec.interests.extraction import StageProgress
from llmrec.interests.hierarchy import MAX_LEVEL, Evidence, Interest, InterestHierarchy
from llmrec.interests.taxonomy import Vocabulary, VocabularyNode
from llmrec.ranking.lexical import InterestMatcher

Shares = npt.NDArray[np.float32]

MAX_ITEMS = 10_000
MAX_PAIRS = 20_000


class CatalogInterests:
    """How surely each item of a catalogue belongs to each interest, and pairs of items to compare.

    Of a catalogue of more than 10,000 items every n-th is read. Interests that no item belongs to are left
    out, and so are places for facts, such as Brand.
    """

    def __init__(
        self,
        items: Sequence[Item],
        matcher: InterestMatcher,
        vocabulary: Vocabulary,
        progress: StageProgress = lambda _done, _total: None,
    ) -> None:
        """Find the interests of the items as the ranking does, without the model; once for each catalogue."""
        every = max(1, -(-len(items) // MAX_ITEMS))
        read = items[::every]
        matcher.prepare(read, progress)
        offered = _all_interests(vocabulary)
        found = [
            {part.id: part.amount for part in matcher.contributions(offered, item) if part.amount > 0}
            for item in read
        ]
        present = set().union(*found)
        nodes = [node.id for node in vocabulary if node.id in present and node.attribute is None]
        self.ids: tuple[str, ...] = tuple(nodes)
        """The interests that at least one item belongs to, in the vocabulary's order."""
        self._columns = {interest_id: column for column, interest_id in enumerate(self.ids)}
        self.shares: Shares = np.zeros((len(read), len(self.ids)), dtype=np.float32)
        """How surely each item belongs to each interest, 0 to 1: one row an item, one column an interest."""
        for row, belongs in zip(self.shares, found, strict=True):
            for interest_id, share in belongs.items():
                column = self._columns.get(interest_id)
                if column is not None:
                    row[column] = share
        self.item_shares: npt.NDArray[np.float64] = (
            (self.shares > 0).mean(axis=0, dtype=np.float64) if len(read) else np.zeros(len(self.ids))
        )
        """The part of the items that belong to each interest at all."""
        self._ways = [
            [self._columns[n] for n in vocabulary.ancestors(interest_id) if n in self._columns]
            for interest_id in self.ids
        ]
        self.pairs = _pairs(len(read))
        """Pairs of rows: all there are, or 20,000 drawn with a fixed seed."""
        belongs_to = (self.shares > 0).astype(np.float32)
        # How sure a label is must not decide the order of items that belong to the same.
        self.pair_differences: Shares = belongs_to[self.pairs[:, 0]] - belongs_to[self.pairs[:, 1]]
        """1 where the first of a pair belongs to the interest and the second does not, -1 for the reverse."""

    def way(self, column: int) -> list[int]:
        """The columns from the top down to an interest, itself included."""
        return self._ways[column]

    def best_splits(
        self, interest_id: str, vocabulary: Vocabulary, most: int, *, without: Collection[str] = ()
    ) -> list[VocabularyNode]:
        """The directly narrower interests that part the items of an interest most evenly, best first.

        The measure is f (1 - f), f being the part of those items that belong to the narrower one: how many
        pairs of them it parts. One that all or none belong to is no choice.
        """
        column = self._columns.get(interest_id)
        if column is None:
            return []
        within = self.shares[self.shares[:, column] > 0]
        parted = []
        for place, node in enumerate(vocabulary.children(interest_id)):
            below = self._columns.get(node.id)
            if below is None or node.id in without:
                continue
            part = float((within[:, below] > 0).mean())
            if 0 < part < 1:
                parted.append((-part * (1 - part), place, node))
        return [node for _, _, node in sorted(parted, key=lambda one: one[:2])[:most]]


def _all_interests(vocabulary: Vocabulary) -> InterestHierarchy:
    """Every interest of the vocabulary with the weight 1, so that contributions are shares."""
    evidence = (Evidence(event_id="every", share=1.0),)
    interests = []
    for node in vocabulary:
        level = len(vocabulary.ancestors(node.id))
        if level <= MAX_LEVEL:
            interests.append(
                Interest(
                    id=node.id,
                    label=node.en,
                    parent_id=node.parent,
                    level=level,
                    weight=1.0,
                    liked=1.0,
                    confidence=1.0,
                    evidence=evidence,
                )
            )
    return InterestHierarchy(interests=tuple(interests))


def _pairs(items: int) -> npt.NDArray[np.int64]:
    if items * (items - 1) // 2 <= MAX_PAIRS:
        first, second = np.triu_indices(items, 1)
        return np.stack([first, second], axis=1).astype(np.int64)
    drawn = np.random.default_rng(0).integers(items, size=(MAX_PAIRS, 2))
    return np.asarray(drawn[drawn[:, 0] != drawn[:, 1]], dtype=np.int64)
