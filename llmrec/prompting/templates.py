"""Find, render and fingerprint the prompt templates: the user's folder first, the shipped ones second."""

from __future__ import annotations

import hashlib
import re
import traceback
from pathlib import Path
from typing import Any

import jinja2
import jinja2.meta
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup
from pydantic import BaseModel, ConfigDict

from llmrec.errors import InputError
from llmrec.prompting.fence import fence_text

SUFFIX = ".jinja"
DEFAULT_LANGUAGE = "en"
PART = re.compile(r"[\w-]+")


Stamp = tuple[Path, int, int]
"""A file, when it last changed (in nanoseconds), and its size in bytes."""

# What a template can raise by what it says.
TEMPLATE_FAULTS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)


class RenderedPrompt(BaseModel):
    """A prompt ready for a model, with the identity of the template it came from."""

    model_config = ConfigDict(frozen=True)

    name: str
    language: str
    text: str
    fingerprint: str
    """Hash of the template's source with everything it includes."""


class PromptInfo(BaseModel):
    """Where one template lies."""

    model_config = ConfigDict(frozen=True)

    name: str
    """Stage and name, for example `ranking/history`."""
    languages: tuple[str, ...]
    path: str
    fingerprint: str
    own: bool
    """Whether it comes from the user's folder."""


class PromptLibrary:
    """The templates by name (`stage/name`), each in one or more languages (`stage/en/name.jinja`)."""

    def __init__(self, folder: Path | None = None) -> None:
        """Use the user's `folder` before the shipped templates. Raises InputError when it is no folder."""
        if folder is not None and not folder.is_dir():
            raise InputError(
                f"there is no folder of prompts at {folder}: create it, or leave the setting out"
            )
        self._folder = folder
        self._folders = ([folder] if folder else []) + [shipped_prompts()]
        self._environment = ImmutableSandboxedEnvironment(
            loader=jinja2.FileSystemLoader(self._folders),
            undefined=jinja2.StrictUndefined,
            autoescape=True,
            finalize=_only_fenced,
            trim_blocks=True,
            lstrip_blocks=True,
            keep_trailing_newline=False,
        )
        for unfenced in ("safe", "escape", "e", "forceescape", "tojson", "urlize", "xmlattr"):
            del self._environment.filters[unfenced]
        self._environment.filters["fenced"] = _fenced
        self._fingerprints: dict[str, tuple[dict[str, Stamp | None], str]] = {}

    def render(self, name: str, language: str = DEFAULT_LANGUAGE, **variables: Any) -> RenderedPrompt:
        """Render a template, in English where the language has none of its own.

        Raises InputError when there is no such template, when it is broken, when it asks for a variable that
        was not given, or when it prints text outside the fence.
        """
        path, found_language = self.find(name, language)
        fingerprint = self._fingerprint(path)
        try:
            text = self._environment.get_template(path).render(**variables)
        except jinja2.TemplateSyntaxError as error:
            raise InputError(
                f"the prompt template {error.filename or path} is broken in line {error.lineno}: "
                f"{error.message}"
            ) from error
        except jinja2.TemplateNotFound as error:
            raise InputError(
                f"the prompt template {self._location(path)} includes {error.name!r}, which is not there"
            ) from error
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"the prompt template {self._location(path)}, or one it includes, cannot be read: "
                "save it as UTF-8"
            ) from error
        except (jinja2.TemplateError, *TEMPLATE_FAULTS) as error:
            raise InputError(
                f"the prompt template {self._location(path)} cannot be rendered{_line_of(error)}: {error}"
            ) from error
        return RenderedPrompt(name=name, language=found_language, text=str(text), fingerprint=fingerprint)

    def source(self, name: str, language: str = DEFAULT_LANGUAGE) -> str:
        """The text of a template. Raises InputError when there is none."""
        return self._source(self.find(name, language)[0])

    def find(self, name: str, language: str) -> tuple[str, str]:
        """The path of a template within its folder, and the language it is in: the one asked for, or English.

        Raises InputError when there is none.
        """
        stage, _, rest = name.partition("/")
        # A name is no path: it can lead to no file outside the folders.
        if all(PART.fullmatch(part) for part in (stage, rest, language)):
            for candidate in dict.fromkeys((language, DEFAULT_LANGUAGE)):
                path = f"{stage}/{candidate}/{rest}{SUFFIX}"
                if any((folder / path).is_file() for folder in self._folders):
                    return path, candidate
        raise InputError(f"there is no prompt named {name!r}: llmrec prompts list shows the names")

    def list(self) -> list[PromptInfo]:
        """Every template, by name."""
        languages: dict[str, list[str]] = {}
        for folder in self._folders:
            for file in folder.glob(f"*/*/*{SUFFIX}"):
                stage, language, file_name = file.relative_to(folder).parts
                if not all(PART.fullmatch(part) for part in (stage, language, file_name[: -len(SUFFIX)])):
                    continue
                known = languages.setdefault(f"{stage}/{file_name.removesuffix(SUFFIX)}", [])
                if language not in known:
                    known.append(language)
        infos = []
        for name in sorted(languages):
            shown = DEFAULT_LANGUAGE if DEFAULT_LANGUAGE in languages[name] else min(languages[name])
            path, _ = self.find(name, shown)
            location = self._location(path)
            infos.append(
                PromptInfo(
                    name=name,
                    languages=tuple(sorted(languages[name])),
                    path=str(location),
                    fingerprint=self._fingerprint(path),
                    own=self._folder is not None and location.is_relative_to(self._folder),
                )
            )
        return infos

    def _location(self, path: str) -> Path:
        for folder in self._folders:
            if (folder / path).is_file():
                return folder / path
        raise InputError(f"there is no prompt template {path} in {' or '.join(map(str, self._folders))}")

    def _source(self, path: str) -> str:
        location = self._location(path)
        try:
            return location.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"the prompt template {location} cannot be read: save it as UTF-8") from error

    def _fingerprint(self, path: str) -> str:
        stamps, fingerprint = self._fingerprints.get(path, ({}, ""))
        if not stamps or any(self._stamp(name) != stamp for name, stamp in stamps.items()):
            stamps, fingerprint = self._fingerprints[path] = self._read_with_includes(path)
            # Jinja would go on with a template it knows when the user puts another one before it.
            if self._environment.cache is not None:
                self._environment.cache.clear()
        return fingerprint

    def _stamp(self, path: str) -> Stamp | None:
        """Which file a template is and when it last changed; None when there is none."""
        for folder in self._folders:
            if ".." not in path and (folder / path).is_file():
                status = (folder / path).stat()
                return folder / path, status.st_mtime_ns, status.st_size
        return None

    def _read_with_includes(self, path: str) -> tuple[dict[str, Stamp | None], str]:
        """The stamps of a template and of all it includes, and the hash of their sources."""
        digest = hashlib.sha256()
        stamps: dict[str, Stamp | None] = {}
        waiting = [path]
        while waiting:
            current = waiting.pop()
            if current in stamps:
                continue
            stamps[current] = self._stamp(current)
            if stamps[current] is None:
                # Rendering says so where it matters; an include may be allowed to be missing.
                continue
            source = self._source(current)
            digest.update(f"{current} {len(source)}\n{source}".encode())
            try:
                parsed = self._environment.parse(source)
            except jinja2.TemplateSyntaxError as error:
                raise InputError(
                    f"the prompt template {self._location(current)} is broken in line {error.lineno}: "
                    f"{error.message}"
                ) from error
            waiting += sorted(found for found in jinja2.meta.find_referenced_templates(parsed) if found)
        return stamps, digest.hexdigest()[:16]


def shipped_prompts() -> Path:
    """The folder of the templates that come with llmrec, in a wheel or in a working copy."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "_prompts", package.parent / "prompts"):
        if folder.is_dir():
            return folder
    raise InputError("the shipped prompts are missing: install llmrec again")


def _line_of(error: Exception) -> str:
    lines = [
        frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(SUFFIX)
    ]
    return f" in line {lines[0]}" if lines else ""


def _fenced(text: object, limit: int = 300) -> Markup:
    # Markup means here that the text may be printed as it is; nothing is ever escaped for HTML.
    return Markup(fence_text(text, limit))  # noqa: S704


def _only_fenced(value: object) -> object:
    """Refuse to print text that did not pass the fence, whoever wrote the template."""
    if isinstance(value, (Markup, int, float, jinja2.Undefined)):
        return value
    raise TypeError(f"it prints {str(value)[:40]!r} outside fence(...): print texts with fence(text) only")
