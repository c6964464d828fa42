"""What decides the scores of a recommender or a strategy, as a hash: equal ones may go on in one folder."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

from pydantic import BaseModel

from llmrec.errors import InputError
from llmrec.prompting.templates import PromptLibrary
from llmrec.ranking.base import Ranker
from llmrec.recommender import Recommender
from llmrec.settings import CATALOG_VOCABULARY

UNTOLD = {
    *("api_key", "cache_dir", "prefix_folder", "prefix_megabytes"),
    *("prompts", "store", "threads", "timeout", "vocabulary", "weights"),
}
"""Settings that change no score, or that the fingerprint holds otherwise."""


def hash_of(**parts: object) -> str:
    """Hash of named parts that JSON can say; whatever else is in them counts by its text."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def recommender_fingerprint(recommender: Recommender) -> str:
    """Hash of the model, the embedder, the settings, the prompts, the log, and the contents of its files.

    Raises InputError when the file of weights or of the vocabulary cannot be read any more.
    """
    settings = recommender.settings
    return hash_of(
        model=recommender.model.fingerprint,
        embedder=recommender.embedder.fingerprint if recommender.embedder else "",
        settings=settings.model_dump(mode="json", exclude=UNTOLD),
        prompts={found.name: found.fingerprint for found in PromptLibrary(settings.prompts).list()},
        log=recommender.log.fingerprint if recommender.log is not None else "",
        weights=_contents(settings.weights),
        vocabulary=_contents(settings.vocabulary),
    )


def ranker_options(ranker: Ranker) -> dict[str, str]:
    """The options of a strategy that is a dataclass, by name: its fields that are plain values."""
    if not dataclasses.is_dataclass(ranker):
        return {}
    values = {field.name: getattr(ranker, field.name) for field in dataclasses.fields(ranker)}
    return {name: repr(value) for name, value in values.items() if _is_plain(value)}


def _is_plain(value: object) -> bool:
    """Whether the text of a value is the same wherever it is made."""
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (bool, int, float, str, BaseModel))


def _contents(path: Path | None) -> str:
    """Hash of a file's contents; empty without one."""
    if path is None or path == CATALOG_VOCABULARY:
        return str(path or "")
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error}): check the path") from error
