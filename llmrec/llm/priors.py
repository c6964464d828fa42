"""How likely texts are on their own, kept on disk: that is the same for every person, and every store."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from llmrec.errors import StoreError
from llmrec.llm.base import LanguageModel
from llmrec.llm.cache import CachedModel, ModelCallCache
from llmrec.llm.private_files import create_private_file

logger = logging.getLogger(__name__)

FILE = "priors.sqlite3"
MOST_ANSWERS = 500_000
"""A file that is opened with more loses the oldest, some 200 bytes each."""
ANSWERS_LEFT = 400_000


class Priors:
    """The same model, asked only about nobody in particular, whose answers stay in the cache folder.

    They are kept by the model's fingerprint, the prompt and the text, as hashes. A model whose weights are
    not known, such as a server's, may change unseen: its priors are kept no longer than its other answers.
    The file is for the user alone to read, and bounded by `MOST_ANSWERS` whenever it is opened.
    """

    def __init__(self, model: LanguageModel, cache_dir: Path) -> None:
        """`model` is what priors are asked of; nothing is opened before the first."""
        self._model = model
        self._path = cache_dir / FILE
        self._lock = threading.Lock()
        self._cache: ModelCallCache | None = None
        self._cached: LanguageModel | None = None

    @property
    def model(self) -> LanguageModel:
        """What to ask; where the file cannot be used, the model itself, with a warning the first time."""
        with self._lock:
            if self._cached is None:
                self._cached = self._open()
            return self._cached

    def close(self) -> None:
        """Close the file; the model stays open."""
        with self._lock:
            if self._cache is not None:
                self._cache.close()
            self._cache = self._cached = None

    def _open(self) -> LanguageModel:
        if not self._model.capabilities.weights_known:
            return self._model
        # The hash of a text that can be guessed tells that it was asked about.
        create_private_file(self._path)
        try:
            self._cache = _ForgivingCache(self._path, notes_people=False)
        except StoreError as error:
            logger.warning("priors are not kept: %s", error)
            return self._model
        # What hinders it is told when an answer is asked for; the next opening tries again.
        with contextlib.suppress(StoreError):
            self._cache.remove_oldest(above=MOST_ANSWERS, left=ANSWERS_LEFT)
        wrapped = self._model.wrapped if isinstance(self._model, CachedModel) else self._model
        return CachedModel(wrapped, self._cache)


class _ForgivingCache(ModelCallCache):
    """One that costs only its memory, and one warning, when its file turns out to be damaged or locked."""

    _failed = False

    def find(self, keys: Sequence[str]) -> dict[str, str]:
        try:
            return super().find(keys)
        except StoreError as error:
            self._warn(error)
            return {}

    def store(self, answers: Mapping[str, str], *, kind: Literal["generate", "score"], model: str) -> None:
        try:
            super().store(answers, kind=kind, model=model)
        except StoreError as error:
            self._warn(error)

    def _warn(self, error: StoreError) -> None:
        if not self._failed:
            self._failed = True
            logger.warning("priors are not kept: %s", error)
