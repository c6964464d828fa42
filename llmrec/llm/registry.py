"""From what a user writes, `embedded`, `llama-cpp:PATH` or `openai:NAME@URL`, to a model."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from llmrec.errors import ModelError
from llmrec.llm.base import LanguageModel
from llmrec.settings import Settings

ENTRY_POINT_GROUP = "llmrec.models"
"""Packages register here, by prefix, a callable (rest of the specification, Settings) -> model."""

Opener = Callable[[str, Settings], LanguageModel]


class ModelKind(BaseModel):
    """One way to name a model."""

    model_config = ConfigDict(frozen=True)

    specification: str
    """How it is written, for example `openai:NAME@URL`."""
    description: str
    ready: bool
    """Whether it can be used on this machine as it is."""
    hint: str = ""
    """What to do when it is not ready."""


def open_model(specification: str, settings: Settings) -> LanguageModel:
    """Open the model a specification names. Raises ModelError when there is none or it does not load."""
    specification = specification.strip()
    kind, _, rest = specification.partition(":")
    openers: dict[str, Opener] = {"embedded": _embedded, "llama-cpp": _llama_cpp, "openai": _openai}
    opener = openers.get(kind) or _installed_opener(kind)
    if opener is not None:
        return opener(rest, settings)
    if specification.lower().endswith(".gguf"):
        return _llama_cpp(specification, settings)
    raise ModelError(
        f"there is no model {specification!r}: write embedded, llama-cpp:PATH or openai:NAME@URL"
    )


def model_kinds() -> list[ModelKind]:
    """Every way to name a model, those of installed packages included."""
    from llmrec.llm.embedded import find_embedded_model
    from llmrec.llm.llama_bindings import import_llama_cpp

    def fault(action: Callable[[], object]) -> str:
        try:
            action()
        except ModelError as error:
            return str(error)
        return ""

    no_llama = fault(import_llama_cpp)
    no_embedded = no_llama or fault(find_embedded_model)
    kinds = [
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
    ]
    kinds += [
        ModelKind(specification=f"{entry.name}:…", description=f"from {entry.value}", ready=True)
        for entry in entry_points(group=ENTRY_POINT_GROUP)
    ]
    return kinds


def _installed_opener(kind: str) -> Opener | None:
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        if entry.name == kind:
            try:
                opener: Opener = entry.load()
            except (AttributeError, ImportError) as error:
                raise ModelError(
                    f"the package that provides the model {kind!r} ({entry.value}) cannot be loaded: "
                    f"{error}; install it again"
                ) from error
            return opener
    return None


def _embedded(rest: str, settings: Settings) -> LanguageModel:
    from llmrec.llm.embedded import prepare_embedded_model
    from llmrec.llm.llama_cpp import LlamaCppModel

    if rest:
        raise ModelError(f"there is no model 'embedded:{rest}': write embedded")
    return LlamaCppModel(
        prepare_embedded_model(settings.cache_dir),
        name="embedded",
        context_length=settings.context_length,
        threads=settings.threads,
    )


def _llama_cpp(rest: str, settings: Settings) -> LanguageModel:
    from llmrec.llm.llama_cpp import LlamaCppModel

    if not rest:
        raise ModelError("llama-cpp: needs the path of a GGUF file: write llama-cpp:PATH")
    return LlamaCppModel(
        Path(rest).expanduser(), context_length=settings.context_length, threads=settings.threads
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
