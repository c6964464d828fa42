"""What a Recommender works with: opened once, shared by all stages, and closed together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from llmrec.behavior.events import Catalog, Event, Item, validated_events
from llmrec.candidates.bm25 import Bm25Index
from llmrec.candidates.embedding import EmbeddingIndex
from llmrec.candidates.log import InteractionLog
from llmrec.candidates.log_signals import LogSignals
from llmrec.candidates.text_vectors import TextVectors
from llmrec.errors import InputError
from llmrec.interests.extraction import StageProgress
from llmrec.interests.neighbourhood import Neighbourhood
from llmrec.interests.own_words import OwnWords
from llmrec.interests.profiler import Profiler
from llmrec.interests.taxonomy import Vocabulary
from llmrec.llm.base import LanguageModel
from llmrec.llm.cache import CachedModel
from llmrec.llm.embedder import Embedder
from llmrec.llm.priors import Priors
from llmrec.llm.registry import open_installed_embedder, open_model
from llmrec.prompting.templates import PromptLibrary
from llmrec.ranking.catalog_interests import CatalogInterests
from llmrec.ranking.learned import LearnedWeights
from llmrec.ranking.lexical import InterestMatcher
from llmrec.ranking.pipeline import RankingPipeline
from llmrec.ranking.signals import SignalSources
from llmrec.settings import CATALOG_VOCABULARY, Settings
from llmrec.store import Store


@dataclass(frozen=True)
class Progress:
    """How far a long piece of work is."""

    stage: str
    """What is going on, for example `reading events`, `finding interests` or `ranking items`."""
    done: int
    total: int


ProgressListener = Callable[[Progress], None]


class Workshop:
    """Model, embedder, store, vocabulary, prompts and the indexes of the catalogue."""

    def __init__(
        self,
        model: str | LanguageModel | None,
        catalog: Catalog | Iterable[Item | Mapping[str, Any]],
        *,
        settings: Settings,
        store: Store | str | Path | None,
        embedder: str | Embedder | None,
        progress: ProgressListener | None,
        log: InteractionLog | Iterable[Event | Mapping[str, Any]] | None = None,
    ) -> None:
        """Open what is named by a specification or a path; what is given opened stays its owner's to close.

        Raises InputError, ModelError and StoreError; what was opened until then is closed.
        """
        self.settings = settings
        self.catalog = catalog if isinstance(catalog, Catalog) else Catalog(catalog)
        self.library = PromptLibrary(settings.prompts)
        self.vocabulary = (
            Vocabulary.from_catalog(self.catalog)
            if settings.vocabulary == CATALOG_VOCABULARY
            else Vocabulary.load(settings.vocabulary)
        )
        self.index = Bm25Index(self.catalog.items_in_order)
        self._progress = progress
        self._neighbourhoods: dict[str, Neighbourhood] = {}
        with contextlib.ExitStack() as opened:
            if isinstance(store, Store):
                self.store = store
            else:
                path = store if store is not None else settings.store
                self.store = Store(Path(path).expanduser() if path is not None else None)
                opened.callback(self.store.close)
            if embedder is None or isinstance(embedder, str):
                self.embedder = open_installed_embedder(embedder, settings)
                if self.embedder is not None:
                    opened.callback(self.embedder.close)
            else:
                self.embedder = embedder
            if model is None or isinstance(model, str):
                self.model = CachedModel(
                    open_model(model or settings.model, settings), self.store.model_calls
                )
                opened.callback(self.model.close)
            else:
                self.model = CachedModel(model, self.store.model_calls)
            self.priors = Priors(self.model, settings.cache_dir)
            opened.callback(self.priors.close)
            self.own_words = OwnWords(self.catalog)
            self.matcher = InterestMatcher(self.vocabulary, self.embedder, self.own_words)
            self.learned = LearnedWeights.load(settings.weights) if settings.weights is not None else None
            self.log = _as_log(log, settings)
            self.sources = self._signal_sources()
            self._opened = opened.pop_all()

    def close(self) -> None:
        """Close what was opened here, the last first."""
        self._opened.close()

    def report(self, stage: str) -> StageProgress:
        """The listener of a stage of the work."""

        def report(done: int, total: int) -> None:
            if self._progress is not None:
                self._progress(Progress(stage, done, total))

        return report

    @property
    def profiler(self) -> Profiler:
        """What makes profiles."""
        return Profiler(
            model=self.model,
            priors=self.priors,
            library=self.library,
            vocabulary=self.vocabulary,
            catalog=self.catalog,
            settings=self.settings,
            embedder=self.embedder,
            progress=self.report("finding interests"),
            own_words=self.own_words,
            similarity=self.matcher.similarity,
        )

    @property
    def pipeline(self) -> RankingPipeline:
        """What ranks items."""
        return RankingPipeline(
            model=self.model,
            priors=self.priors,
            library=self.library,
            settings=self.settings,
            sources=self.sources,
            progress=self.report,
            learned=self.learned,
        )

    def _signal_sources(self) -> SignalSources:
        items = self.catalog.items_in_order
        ids = [item.id for item in items]
        embeddings = EmbeddingIndex(self.embedder, items) if self.embedder is not None else None
        affinity = self.learned.text_affinity() if self.learned is not None else None
        texts = TextVectors.of_items(self.embedder, items) if affinity is not None else None
        if affinity is not None and texts is not None and affinity.vectors_of != texts.fingerprint:
            raise InputError(
                f"the learned weights at {self.settings.weights} are for another embedder than this one: "
                "run llmrec tune with it"
            )
        return SignalSources(
            catalog=self.catalog,
            index=self.index,
            matcher=self.matcher,
            embedder=self.embedder,
            embeddings=embeddings,
            log=LogSignals(self.log, ids) if self.log is not None else None,
            affinity=affinity,
            texts=texts,
        )

    @cached_property
    def catalog_interests(self) -> CatalogInterests:
        """The interests of the catalogue's items, for the interview; read when first asked for."""
        return CatalogInterests(
            self.catalog.items_in_order, self.matcher, self.vocabulary, self.report("reading the catalogue")
        )

    def neighbourhood(self, language: str) -> Neighbourhood:
        """How close the vocabulary's interests are to each other; laid out once a language."""
        if language not in self._neighbourhoods:
            embedder = self.profiler.tools(language).embedder
            self._neighbourhoods[language] = Neighbourhood(self.vocabulary, embedder, language)
        return self._neighbourhoods[language]


def _as_log(
    log: InteractionLog | Iterable[Event | Mapping[str, Any]] | None, settings: Settings
) -> InteractionLog | None:
    """A log of its events, where it is not one already; None of an empty one."""
    if log is None:
        return None
    made = (
        log
        if isinstance(log, InteractionLog)
        else InteractionLog.from_events(validated_events(log), settings)
    )
    return made or None
