"""Which of a person's interests an item belongs to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from llmrec.behavior.events import Item
from llmrec.candidates.bm25 import item_text, tokenize
from llmrec.interests.anchored import label_subject
from llmrec.interests.extraction import EventLabel, StageProgress
from llmrec.interests.hierarchy import InterestHierarchy
from llmrec.interests.label_choice import Offer
from llmrec.interests.organization import Hint
from llmrec.interests.own_words import OwnWords
from llmrec.interests.similarity import LabelSimilarity
from llmrec.interests.subjects import item_subject
from llmrec.interests.taxonomy import Vocabulary
from llmrec.llm.embedder import Embedder
from llmrec.ranking.types import Contribution

MAX_KEPT_ITEMS = 100_000
PREPARED_AT_ONCE = 512


class InterestMatcher:
    """Finds which of a person's interests an item belongs to, as the labelling does without the model."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        embedder: Embedder | None = None,
        own_words: OwnWords | None = None,
    ) -> None:
        """`embedder` adds similarity to names and categories; `own_words` knows the catalogue's phrases."""
        self.similarity = LabelSimilarity(vocabulary, embedder) if embedder is not None else None
        """What compares items with the vocabulary; it may be used elsewhere too."""
        self._offer = Offer(vocabulary, "en", similarity=self.similarity)
        self._own_words = own_words
        self._labels: dict[str, tuple[Item, list[EventLabel]]] = {}

    def prepare(self, items: Sequence[Item], progress: StageProgress) -> None:
        """Read many items at once, 512 at a time, so that `contributions` has them ready."""
        unread = [item for item in items if self._known(item) is None]
        for begin in range(0, len(unread), PREPARED_AT_ONCE):
            batch = unread[begin : begin + PREPARED_AT_ONCE]
            subjects = [item_subject(item) for item in batch]
            rows = self.similarity.cosines(subjects) if self.similarity else [None] * len(batch)
            for item, subject, row in zip(batch, subjects, rows, strict=True):
                self._keep(item, label_subject(subject, self._offer, row))
            progress(begin + len(batch), len(unread))

    def contributions(self, hierarchy: InterestHierarchy, item: Item) -> tuple[Contribution, ...]:
        """The interests an item belongs to, each with its weight times how surely the item belongs there.

        Disliked ones count below zero. The largest amounts come first.
        """
        found = [
            Contribution(id=interest_id, amount=hierarchy[interest_id].balance * share)
            for interest_id, share in self.memberships(hierarchy, item).items()
        ]
        return tuple(sorted(found, key=lambda part: (-abs(part.amount), part.id)))

    def memberships(self, hierarchy: InterestHierarchy, item: Item) -> dict[str, float]:
        """How surely an item belongs to each interest, from 0 to 1, by id.

        Interests that the vocabulary does not know match by their label's words.
        """
        vocabulary = self._offer.vocabulary
        shares: dict[str, float] = {}
        for label in self._item_labels(item):
            for step in label.path:
                # A place for facts, such as Brand, is shared by items that have nothing in common.
                is_place = step.id in vocabulary and vocabulary[step.id].attribute is not None
                if step.id in hierarchy and not is_place:
                    shares[step.id] = max(shares.get(step.id, 0.0), label.share)
        shares.update(self._by_name(hierarchy, item, known=shares))
        return shares

    def hint_amount(self, hints: Sequence[Hint], item: Item) -> float:
        """The sum of the hints that an item shares, each with its balance times how surely it does."""
        if not hints:
            return 0.0
        shares = {label.path[-1].id: label.share for label in self._item_labels(item) if label.proposed}
        phrases = self._own_words.slugs(item) if self._own_words is not None else frozenset()
        return sum(
            hint.balance * shares.get(hint.id, float(hint.id.rpartition("/")[2] in phrases)) for hint in hints
        )

    def _item_labels(self, item: Item) -> list[EventLabel]:
        known = self._known(item)
        return (
            known if known is not None else self._keep(item, label_subject(item_subject(item), self._offer))
        )

    def _known(self, item: Item) -> list[EventLabel] | None:
        read, labels = self._labels.get(item.id, (None, None))
        return labels if read == item else None

    def _keep(self, item: Item, labels: list[EventLabel]) -> list[EventLabel]:
        if len(self._labels) >= MAX_KEPT_ITEMS:
            self._labels.clear()
        self._labels[item.id] = item, labels
        return labels

    def _by_name(
        self, hierarchy: InterestHierarchy, item: Item, known: Mapping[str, float]
    ) -> dict[str, float]:
        vocabulary = self._offer.vocabulary
        unknown = [i for i in hierarchy.interests if i.id not in vocabulary and i.id not in known]
        if not unknown:
            return {}
        words = set(tokenize(item_text(item)))
        phrases = self._own_words.slugs(item) if self._own_words is not None else frozenset()
        found: dict[str, float] = {}
        for interest in unknown:
            names = set(tokenize(interest.label))
            above = interest.parent_id
            if interest.id.rpartition("/")[2] in phrases:
                found[interest.id] = 1.0
                # What belongs to a narrower interest belongs to the broader ones.
                while above is not None and not (above in vocabulary and vocabulary[above].attribute):
                    found[above] = 1.0
                    above = hierarchy[above].parent_id
            elif names and names <= words and (above is None or above in known or above in found):
                found[interest.id] = 1.0
        return found
