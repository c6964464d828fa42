"""Recommenders and bare strategies over the material of a run, opened once and closed together."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

from llmrec.candidates.log import InteractionLog
from llmrec.errors import InputError
from llmrec.evaluation.guards import check_weights
from llmrec.evaluation.systems import RankerSystem, RecommenderSystem
from llmrec.evaluation.types import Material, System
from llmrec.llm.base import LanguageModel
from llmrec.llm.registry import open_model
from llmrec.prompting.templates import PromptLibrary
from llmrec.ranking.context import Basis
from llmrec.ranking.learned import LearnedWeights
from llmrec.ranking.strategies import STRATEGIES, open_ranker
from llmrec.recommender import Recommender
from llmrec.settings import Settings, load_settings
from llmrec.store import Store

WHOLE = "llmrec"
"""The name of the system that is the Recommender as its settings have it."""


@dataclass
class StrategySystems:
    """Makes a system of each strategy; use it as a context manager, or close it.

    Nothing of an evaluation is kept in the settings' own store.
    """

    settings: Settings
    strategies: Sequence[str] = ()
    """Names as in the setting `ranking_strategy`; the settings' own when there are none."""
    bare: bool = False
    """Whether each named strategy stands beside it by itself, without the other signals."""
    basis: Basis = "both"
    use_log: bool = True
    """Whether they see the interaction log of the run; else texts are all they have."""
    labelled_by_model: int = 0
    """How many events of a history the model reads to find interests; with 0, names and categories tell."""
    _opened: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, repr=False)
    _model: LanguageModel | None = field(default=None, repr=False)

    def __enter__(self) -> StrategySystems:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the model and all recommenders."""
        self._opened.close()
        self._model = None

    @property
    def model(self) -> LanguageModel:
        """The language model of all of them, opened when first asked for. Raises ModelError."""
        if self._model is None:
            self._model = open_model(self.settings.model, self.settings)
            self._opened.callback(self._model.close)
        return self._model

    def systems(self, material: Material) -> tuple[System, ...]:
        """One system a strategy over the material.

        Raises InputError, also for learned weights that do not hold for this basis and log, and ModelError.
        """
        if not self.use_log:
            material = Material(material.catalog, InteractionLog())
        if self.settings.weights is not None:
            learned = LearnedWeights.load(self.settings.weights)
            check_weights(learned, basis=self.basis, with_log=bool(material.log))
        names = tuple(dict.fromkeys(self.strategies)) or (self.settings.ranking_strategy,)
        recommender = self._recommender(material)
        found: list[System] = []
        for name in names:
            whole = WHOLE if name == self.settings.ranking_strategy else f"{WHOLE}-{name}"
            found.append(RecommenderSystem(recommender, name=whole, basis=self.basis, strategy=name))
            if self.bare and name not in ("auto", "none"):
                library = PromptLibrary(self.settings.prompts)
                ranker = open_ranker(name, recommender.model, library)
                found.append(RankerSystem(ranker, recommender, basis=self.basis))
        return tuple(found)

    def paraphrased(self, prompts: Path) -> StrategySystems:
        """The same with other prompts and the same model, which stays this one's to close.

        Raises InputError when there is no such folder.
        """
        if not prompts.is_dir():
            raise InputError(f"there is no folder of prompts at {prompts}: check the path")
        settings = load_settings(self.settings, prompts=prompts)
        other = replace(self, settings=settings, _opened=contextlib.ExitStack(), _model=self.model)
        self._opened.callback(other.close)
        return other

    def _recommender(self, material: Material) -> Recommender:
        settings = load_settings(self.settings, labelled_by_model=self.labelled_by_model)
        recommender = opened_for(settings, material, self.model)
        self._opened.callback(recommender.close)
        return recommender


def opened_for(settings: Settings, material: Material, model: LanguageModel | None = None) -> Recommender:
    """A recommender over the material of a run that keeps nothing beyond itself; it is the caller's to close.

    An empty log is none. Raises InputError, ModelError.
    """
    return Recommender(model, material.catalog, log=material.log, settings=settings, store=Store())


def known_strategies() -> tuple[str, ...]:
    """The names that a strategy may have."""
    return ("auto", *sorted(STRATEGIES), "none")
