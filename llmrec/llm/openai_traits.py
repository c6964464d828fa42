"""What is known of a model on a server, and where that is remembered between runs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import tempfile
import time
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llmrec.llm.base import StructuredSupport
from llmrec.llm.openai_probes import load_probes

logger = logging.getLogger(__name__)

# A server may be started anew with other options or another model under the same name.
REMEMBERED_SECONDS = 86_400.0

Streaming = Literal["counted", "plain", "none"]
"""With a count of tokens at the end, without, or not at all."""


class ServerTraits(BaseModel):
    """What a server was found to do for one model; None where it was not asked yet."""

    model_config = ConfigDict(validate_assignment=True, extra="ignore")

    probes: str = ""
    """Hash of the questions these answers came from."""
    checked: float = 0.0
    """When the first of them was asked, in seconds since the epoch."""
    structured: StructuredSupport | None = None
    """The firmest rung that really held an answer to a schema; `none` when the server does not chat."""
    score_lead: str | None = None
    """The text before every scored one that brings the echoed probabilities in line with their tokens."""
    open_answers: bool | None = None
    """Whether its answers to a few easy questions were right."""
    context_length: int | None = None
    """In tokens; 0 when the server does not say."""
    streaming: Streaming | None = None
    """How it streams answers; None where it was not tried yet."""
    parameters: dict[str, str] = Field(default_factory=dict)
    """Request parameters that the server wants under another name, or not at all (an empty one)."""


class TraitsFile:
    """Traits of one model on one server, kept in a small JSON file for a day."""

    def __init__(self, cache_dir: Path | None, base_url: str, model: str) -> None:
        """Keep them under `cache_dir`, or nowhere when that is None."""
        key = hashlib.sha256(json.dumps([base_url, model]).encode()).hexdigest()[:24]
        self._path = cache_dir / "servers" / f"{key}.json" if cache_dir else None

    def load(self) -> ServerTraits:
        """Return what is remembered; new traits when that is nothing, old, unreadable, or of other probes."""
        fresh = ServerTraits(probes=load_probes().fingerprint, checked=time.time())
        if self._path is None:
            return fresh
        try:
            known = ServerTraits.model_validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            return fresh
        age = time.time() - known.checked
        return known if known.probes == fresh.probes and 0 <= age < REMEMBERED_SECONDS else fresh

    def save(self, traits: ServerTraits) -> None:
        """Remember the traits; a folder that cannot be written costs only the memory."""
        if self._path is None:
            return
        temporary = None
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=self._path.parent, suffix=".tmp")
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(traits.model_dump_json(indent=1))
            Path(temporary).replace(self._path)
        except OSError as error:
            logger.warning("what %s can do is not remembered: %s", self._path, error)
            if temporary:
                with contextlib.suppress(OSError):
                    Path(temporary).unlink()
