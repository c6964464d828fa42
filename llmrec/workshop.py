"""What a Recommender works with: opened once, shared by all stages, and closed together."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from llmrec.behavior.events import Catalog, Item
from llmrec.candidates.bm25 import Bm25Index
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
from llmrec.ranking.lexical import InterestMatcher
from llmrec.ranking.ranker import Ranker
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
    def ranker(self) -> Ranker:
        """What ranks items."""
        return Ranker(
            model=self.model,
            priors=self.priors,
            library=self.library,
            settings=self.settings,
            catalog=self.catalog,
            index=self.index,
            matcher=self.matcher,
            progress=self.report,
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
