"""Settings: every choice a user can make without code, from arguments or LLMREC_* variables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from llmrec.errors import InputError

Strategy = Literal["auto", "anchored", "open"]

DEFAULT_ACTION_STRENGTHS: dict[str, float] = {
    "view": 0.2,
    "click": 0.3,
    "search": 0.5,
    "save": 0.6,
    "purchase": 1.0,
    "rate": 1.0,
    "like": 1.0,
    "dislike": -1.0,
    "review": 1.0,
    "skip": -0.3,
    "return": -0.8,
    "say": 1.0,
}
"""How much one action says about an interest, from -1 to 1; a rating or a review is scaled by its value."""


class FusionWeights(BaseModel):
    """How much each signal counts when they are summed into one score; they are normalised to sum to 1."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: float = Field(default=0.3, ge=0)
    """The model's likelihood ratio, or its graded relevance."""
    bm25: float = Field(default=0.4, ge=0)
    """Words shared with the history."""
    interests: float = Field(default=0.3, ge=0)
    """The weight of the person's interests that the item belongs to."""


class Settings(BaseSettings):
    """What llmrec uses where no argument says otherwise; each field reads LLMREC_<FIELD>."""

    model_config = SettingsConfigDict(
        env_prefix="LLMREC_", env_nested_delimiter="__", extra="ignore", validate_default=True
    )

    model: str = "embedded"
    """The language model: `embedded`, `llama-cpp:PATH`, or `openai:NAME@URL`."""
    strategy: Strategy = "auto"
    """How a model finds interests: `anchored` chooses among labels by likelihood, `open` writes them;
    `auto` takes what the model's capabilities allow."""
    language: Literal["auto", "en", "zh"] = "auto"
    """The language of labels, prompts and explanations; `auto` follows the person's own events."""
    store: Path | None = None
    """The SQLite file for events, profiles, rankings and model calls; None keeps them in memory."""
    cache_dir: Path = Field(default_factory=lambda: Path(platformdirs.user_cache_dir("llmrec")))
    """Where prepared model files lie."""
    prompts: Path | None = None
    """A folder of templates that come before the shipped ones of the same name."""
    vocabulary: Path | None = None
    """A file of interests to choose from, in place of the shipped one."""
    api_key: str | None = None
    """The key for an OpenAI-compatible server; OPENAI_API_KEY is read when this is absent."""
    context_length: int = Field(default=4096, ge=256)
    """Longest prefix and continuation of a local model, in tokens."""
    threads: int | None = Field(default=None, ge=1)
    """Threads of a local model; None uses every core this process may run on."""
    timeout: float = Field(default=60.0, gt=0)
    """Seconds to wait for one answer of a server."""
    half_life_days: float = Field(default=90.0, gt=0)
    """Days after which an event counts half, measured back from the person's last event."""
    action_strengths: dict[str, Annotated[float, Field(ge=-1, le=1)]] = Field(default_factory=dict)
    """Strengths by action, added to the known ones or in their place, from -1 to 1."""
    fusion: FusionWeights = FusionWeights()
    """How the signals of a ranking are weighed."""
    candidates: int = Field(default=50, ge=1)
    """How many items of the catalogue are ranked when the caller names none."""

    labelled_by_model: int = Field(default=24, ge=0)
    """How many items and sentences of a history, the weightiest first, the model reads to find interests
    with the anchored strategy; the others are labelled by their names and categories."""

    def strength_of(self, action: str) -> float | None:
        """The strength of an action, or None for one that nobody has given a strength."""
        return self.action_strengths.get(action, DEFAULT_ACTION_STRENGTHS.get(action))


def load_settings(base: Settings | None = None, **options: Any) -> Settings:
    """Settings from the environment, or from `base`, with the options in their place.

    Raises InputError with one sentence that names the field and what is wrong with it.
    """
    try:
        if base is None:
            return Settings(**options)
        return Settings.model_validate({**base.model_dump(), **options}) if options else base
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in fault["loc"])
        raise InputError(
            f"the setting {field} (LLMREC_{field.upper()}) is not usable: {fault['msg']}"
        ) from error
    except SettingsError as error:
        raise InputError(f"a setting in the environment is not usable: {error}") from error
