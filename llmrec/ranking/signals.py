"""What speaks for each candidate without asking the language model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from llmrec.behavior.events import Catalog, Item
from llmrec.candidates.bm25 import Bm25Index, item_text
from llmrec.candidates.embedding import EmbeddingIndex
from llmrec.candidates.log_signals import LogSignals
from llmrec.candidates.text_affinity import TextAffinity
from llmrec.candidates.text_vectors import TextVectors
from llmrec.interests.profile import InterestProfile
from llmrec.llm.embedder import Embedder
from llmrec.ranking.context import Basis
from llmrec.ranking.lexical import InterestMatcher
from llmrec.ranking.liked import LikedEvent, liked_events, liked_items
from llmrec.ranking.words import WordMatches, match_events, match_interests

Values = tuple[float, ...]


@dataclass(frozen=True)
class SignalSources:
    """The indexes that signals come from; what is absent gives none."""

    catalog: Catalog
    index: Bm25Index
    """Of the catalogue's items, in their order."""
    matcher: InterestMatcher
    embedder: Embedder | None = None
    embeddings: EmbeddingIndex | None = None
    """Of the catalogue's items, in their order."""
    log: LogSignals | None = None
    """Of the catalogue's items, in their order."""
    affinity: TextAffinity | None = None
    texts: TextVectors | None = None
    """The vectors that the text affinity was learned on."""

    @cached_property
    def places(self) -> dict[str, int]:
        """The place of each item in the catalogue, by its id."""
        return {item_id: at for at, item_id in enumerate(self.catalog)}

    def speaks(self, language: str) -> bool:
        """Whether the embedder knows a language."""
        known = self.embedder.languages if self.embedder is not None else ()
        return self.embeddings is not None and (not known or language in known)


@dataclass(frozen=True)
class MeasuredSignals:
    """The signals of some items, in their order."""

    values: dict[str, Values]
    matches: WordMatches
    """How the words of the events, or of the interests, match the items."""


def measure_signals(
    sources: SignalSources, profile: InterestProfile, items: Sequence[Item], basis: Basis
) -> MeasuredSignals:
    """Every signal that there is, of every item."""
    places = sources.places
    # How rare a word is, and what all items have in common, the whole catalogue tells better than a few.
    known = all(sources.catalog.get(item.id) == item for item in items)
    columns = [places[item.id] for item in items] if known else list(range(len(items)))
    index = sources.index if known else Bm25Index(items)
    matches = (match_interests if basis == "profile" else match_events)(profile, index).only(columns)
    liked = liked_events(profile)
    values: dict[str, Sequence[float] | np.ndarray] = {}
    if basis == "profile":
        values["interest_words"] = matches.totals
        values["hints"] = [sources.matcher.hint_amount(profile.hints, item) for item in items]
    else:
        values["bm25"] = matches.totals
        values["bm25_best"] = matches.best
        if (
            sources.embeddings is not None
            and sources.embedder is not None
            and sources.speaks(profile.language)
        ):
            embeddings = sources.embeddings if known else EmbeddingIndex(sources.embedder, items)
            values |= _of_meaning(embeddings, liked, items, columns)
        if sources.affinity is not None and sources.texts is not None:
            values |= affinity_signals(sources.affinity, sources.texts, liked, items)
    if basis != "history":
        values["interests"] = [interest_amount(sources.matcher, profile, item) for item in items]
    if sources.log is not None and basis != "profile":
        values |= _of_log(sources.log, liked, items, places)
    return MeasuredSignals({name: tuple(map(float, found)) for name, found in values.items()}, matches)


def interest_amount(matcher: InterestMatcher, profile: InterestProfile, item: Item) -> float:
    """The signal `interests` of an item."""
    return float(sum(part.amount for part in matcher.contributions(profile.hierarchy, item)))


def _of_meaning(
    embeddings: EmbeddingIndex,
    liked: Sequence[LikedEvent],
    items: Sequence[Item],
    columns: Sequence[int],
) -> dict[str, np.ndarray]:
    texts, weights = [one.text for one in liked], [one.weight for one in liked]
    cosines = embeddings.cosines(texts, columns)
    total = sum(weights) or 1.0
    return {
        "embedding": np.asarray(weights) @ cosines / total,
        "embedding_best": cosines.max(axis=0) if len(texts) else np.zeros(len(items)),
    }


def affinity_signals(
    affinity: TextAffinity, vectors: TextVectors, liked: Sequence[LikedEvent], items: Sequence[Item]
) -> dict[str, np.ndarray]:
    """The signals of a text affinity: `text_affinity`, zeros without a history, and `text_appeal`."""
    own = vectors.vectors([item_text(item) for item in items])
    history = vectors.vectors([one.text for one in liked])
    return {
        "text_affinity": affinity.affinity(history, [one.weight for one in liked], own),
        "text_appeal": affinity.appeal(own),
    }


def _of_log(
    log: LogSignals, liked: Sequence[LikedEvent], items: Sequence[Item], places: dict[str, int]
) -> dict[str, np.ndarray]:
    found = {}
    for name, scores in log.scores(liked_items(liked)).items():
        own = np.zeros(len(items))
        for at, item in enumerate(items):
            own[at] = scores[places[item.id]] if item.id in places else 0.0
        found[name] = own
    return found
