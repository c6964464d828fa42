"""From what a user writes, `llama-cpp:PATH` or `openai:NAME@URL` for example, to a model or an embedder."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from llmrec.errors import ModelError
from llmrec.llm.base import LanguageModel
from llmrec.settings import Settings, load_settings

if TYPE_CHECKING:
    from llmrec.llm.embedder import Embedder

logger = logging.getLogger(__name__)

ENTRY_POINT_GROUP = "llmrec.models"
"""Packages register here, by prefix, a callable (rest of the specification, Settings) -> model."""
EMBEDDER_ENTRY_POINT_GROUP = "llmrec.embedders"
"""Packages register here, by prefix, a callable (rest of the specification, Settings) -> embedder."""

Opener = Callable[[str, Settings], LanguageModel]
EmbedderOpener = Callable[[str, Settings], "Embedder"]


class ModelKind(BaseModel):
    """One way to name a model, or an embedder."""

    model_config = ConfigDict(frozen=True)

    specification: str
    """How it is written, for example `openai:NAME@URL`."""
    description: str
    ready: bool
    """Whether it can be used on this machine as it is."""
    hint: str = ""
    """What to do when it is not ready."""


def open_model(specification: str | None = None, settings: Settings | None = None) -> LanguageModel:
    """Open the model a specification names, such as `embedded`; the settings' own when none is named.

    `settings` are by default those of the environment. Raises ModelError when there is no such model or it
    does not load.
    """
    settings = settings or load_settings()
    specification = (settings.model if specification is None else specification).strip()
    kind, _, rest = specification.partition(":")
    openers: dict[str, Opener] = {"embedded": _embedded, "llama-cpp": _llama_cpp, "openai": _openai}
    opener: Opener | None = openers.get(kind) or _installed_opener(ENTRY_POINT_GROUP, kind)
    if opener is not None:
        return opener(rest, settings)
    if specification.lower().endswith(".gguf"):
        return _llama_cpp(specification, settings)
    raise ModelError(
        f"there is no model {specification!r}: write embedded, llama-cpp:PATH or openai:NAME@URL"
    )


def open_embedder(specification: str | None = None, settings: Settings | None = None) -> Embedder:
    """Open the embedder a specification names, such as `wordllama`; the settings' own when none is named.

    `settings` are by default those of the environment. Raises ModelError when there is no such embedder or
    it does not load.
    """
    settings = settings or load_settings()
    specification = (settings.embedder if specification is None else specification).strip()
    kind, _, rest = specification.partition(":")
    openers: dict[str, EmbedderOpener] = {"wordllama": _static_embedder, "llama-cpp": _llama_cpp_embedder}
    opener: EmbedderOpener | None = openers.get(kind) or _installed_opener(EMBEDDER_ENTRY_POINT_GROUP, kind)
    if opener is not None:
        return opener(rest, settings)
    if specification.lower().endswith(".gguf"):
        return _llama_cpp_embedder(specification, settings)
    raise ModelError(f"there is no embedder {specification!r}: write wordllama or llama-cpp:PATH")


def open_installed_embedder(specification: str | None, settings: Settings) -> Embedder | None:
    """As `open_embedder`; None where nobody named an embedder and the usual one is not installed."""
    try:
        return open_embedder(specification, settings)
    except ModelError as error:
        if specification is not None or "embedder" in settings.model_fields_set:
            raise
        logger.info("without an embedder, names, categories and the model decide alone: %s", error)
        return None


def model_kinds() -> list[ModelKind]:
    """Every way to name a model, those of installed packages included."""
    from llmrec.llm.embedded import find_embedded_model

    no_llama = _fault(_check_llama_cpp)
    no_embedded = no_llama or _fault(find_embedded_model)
    return [
        ModelKind(
            specification="embedded",
            description="SmolLM2-135M-Instruct, in this process, no download (Apache-2.0)",
            ready=not no_embedded,
            hint=no_embedded,
        ),
        ModelKind(
            specification="llama-cpp:PATH",
            description="any GGUF file, in this process",
            ready=not no_llama,
            hint=no_llama,
        ),
        ModelKind(
            specification="openai:NAME@URL",
            description="any OpenAI-compatible server; without @URL, api.openai.com",
            ready=True,
        ),
        *_installed_kinds(ENTRY_POINT_GROUP),
    ]


def embedder_kinds() -> list[ModelKind]:
    """Every way to name an embedder, those of installed packages included."""
    from llmrec.llm.static_embedder import check_installed

    no_static = _fault(check_installed)
    no_llama = _fault(_check_llama_cpp)
    return [
        ModelKind(
            specification="wordllama",
            description="static vectors of 256 numbers for English words, no download (MIT)",
            ready=not no_static,
            hint=no_static,
        ),
        ModelKind(
            specification="llama-cpp:PATH",
            description="any GGUF file of an embedding model, in this process",
            ready=not no_llama,
            hint=no_llama,
        ),
        *_installed_kinds(EMBEDDER_ENTRY_POINT_GROUP),
    ]


def _fault(action: Callable[[], object]) -> str:
    try:
        action()
    except ModelError as error:
        return str(error)
    return ""


def _installed_kinds(group: str) -> list[ModelKind]:
    return [
        ModelKind(specification=f"{entry.name}:…", description=f"from {entry.value}", ready=True)
        for entry in entry_points(group=group)
    ]


def _installed_opener(group: str, kind: str) -> Any:
    for entry in entry_points(group=group):
        if entry.name == kind:
            return _loaded(entry)
    return None


def _loaded(entry: EntryPoint) -> Any:
    try:
        return entry.load()
    except (AttributeError, ImportError) as error:
        raise ModelError(
            f"the package that provides {entry.name!r} ({entry.value}) cannot be loaded: {error}; "
            "install it again"
        ) from error


def _check_llama_cpp() -> None:
    from llmrec.llm.llama_bindings import import_llama_cpp
    from llmrec.llm.llama_build import uses_repacking

    # A build for another CPU would end this process as it is loaded.
    uses_repacking(load_settings().cache_dir)
    import_llama_cpp()


def _embedded(rest: str, settings: Settings) -> LanguageModel:
    from llmrec.llm.embedded import prepare_embedded_model
    from llmrec.llm.llama_cpp import LlamaCppModel

    if rest:
        raise ModelError(f"there is no model 'embedded:{rest}': write embedded")
    path = prepare_embedded_model(settings.cache_dir)
    return LlamaCppModel(path, name="embedded", **_local_options(settings))


def _llama_cpp(rest: str, settings: Settings) -> LanguageModel:
    from llmrec.llm.llama_cpp import LlamaCppModel

    if not rest:
        raise ModelError("llama-cpp: needs the path of a GGUF file: write llama-cpp:PATH")
    path = Path(rest).expanduser()
    return LlamaCppModel(path, **_local_options(settings))


def _local_options(settings: Settings) -> dict[str, Any]:
    return {
        "context_length": settings.context_length,
        "threads": settings.threads,
        "cache_dir": settings.cache_dir,
        "prefix_megabytes": settings.prefix_megabytes,
        "prefix_folder": settings.prefix_folder,
    }


def _static_embedder(rest: str, _settings: Settings) -> Embedder:
    from llmrec.llm.static_embedder import StaticEmbedder

    if rest:
        raise ModelError(f"there is no embedder 'wordllama:{rest}': write wordllama")
    return StaticEmbedder()


def _llama_cpp_embedder(rest: str, settings: Settings) -> Embedder:
    from llmrec.llm.llama_embedder import LlamaCppEmbedder

    if not rest:
        raise ModelError("llama-cpp: needs the path of a GGUF file: write llama-cpp:PATH")
    path = Path(rest).expanduser()
    return LlamaCppEmbedder(
        path,
        context_length=settings.context_length,
        threads=settings.threads,
        cache_dir=settings.cache_dir,
    )


def _openai(rest: str, settings: Settings) -> LanguageModel:
    from llmrec.llm.openai import OpenAIModel

    # A name may begin with an @, as @cf/meta/llama does.
    at = rest.find("@", 1)
    name, url = (rest[:at], rest[at + 1 :]) if at > 0 else (rest, "")
    if not name or name.startswith("@http"):
        raise ModelError("openai: needs the name of a model: write openai:NAME or openai:NAME@URL")
    return OpenAIModel(
        name,
        base_url=url or None,
        api_key=settings.api_key,
        timeout=settings.timeout,
        cache_dir=settings.cache_dir,
    )
