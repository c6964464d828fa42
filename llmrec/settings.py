"""Settings: every choice a user can make without code, from arguments or LLMREC_* variables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from llmrec.errors import InputError
from llmrec.weights import FusionWeights, LogFusionWeights, ProfileFusionWeights

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


def _from_home(path: Path) -> Path:
    return path.expanduser() if path.parts[:1] == ("~",) else path


CATALOG_VOCABULARY = Path("catalog")
"""Written for the vocabulary, it means the catalogue's own categories."""

UserPath = Annotated[Path, AfterValidator(_from_home)]
"""A path whose ~ is the person's own folder, also where no shell has read it."""


class InterestNumbers(BaseModel):
    """How the numbers of an interest follow from its events; `docs/interests.md` holds the formulas."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    short_half_life_days: float = Field(default=14.0, gt=0)
    """Days after which an event counts half in the short term, measured back from the person's last event."""
    short_half_life_events: float = Field(default=4.0, gt=0)
    """Later events after which an event counts half in the short term, however close they lie in time."""
    short_term_share: float = Field(default=0.5, ge=0, le=1)
    """The part of a weight that the short term makes; the long term makes the rest."""
    horizon_ratio: float = Field(default=2.0, ge=1)
    """How many times one term's weight must be the other's to make an interest short-term or long-term."""
    least_weight: float = Field(default=0.002, ge=0, le=1)
    """Lighter interests are listed as suppressed and leave the hierarchy."""
    core_weight: float = Field(default=0.05, ge=0, le=1)
    """Least weight of a core interest in the long term."""
    core_support: int = Field(default=4, ge=1)
    """Fewest events of a core interest."""
    core_confidence: float = Field(default=0.9, ge=0, le=1)
    """Least confidence of a core interest."""
    regular_weight: float = Field(default=0.01, ge=0, le=1)
    """Least weight of a regular interest."""
    regular_support: int = Field(default=2, ge=1)
    """Fewest events of a regular interest."""
    raise_factor: float = Field(default=2.0, gt=1)
    """What raising an interest multiplies its weight by, and lowering divides it by."""
    dislike_passed_up: float = Field(default=0.5, ge=0, le=1)
    """The part of a dislike of an item that counts against the next broader interest, at every step up."""
    items_of_proposed: int = Field(default=2, ge=1)
    """Fewest items that must share a value or words found on them before they make an interest; those of
    fewer are hints."""
    most_hints: int = Field(default=200, ge=0)
    """How many hints a profile keeps, the heaviest first."""


class Settings(BaseSettings):
    """What llmrec uses where no argument says otherwise; each field reads LLMREC_<FIELD>."""

    model_config = SettingsConfigDict(
        env_prefix="LLMREC_",
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="forbid",
        validate_assignment=True,
        validate_default=True,
        allow_inf_nan=False,
    )

    model: str = "embedded"
    """The language model: `embedded`, `llama-cpp:PATH`, or `openai:NAME@URL`."""
    embedder: str = "wordllama"
    """What turns texts into vectors: `wordllama` or `llama-cpp:PATH`."""
    strategy: Strategy = "auto"
    """How a model finds interests: `anchored` chooses among labels by likelihood, `open` writes them;
    `auto` takes what the model's capabilities allow."""
    language: Literal["auto", "en", "zh"] = "auto"
    """The language of labels, prompts and explanations; `auto` follows the person's own events."""
    store: UserPath | None = None
    """The SQLite file for events, profiles, rankings and model calls; None keeps them in memory, and makes
    the commands `profile` and `recommend` use a file in the user's data folder."""
    cache_dir: UserPath = Field(default_factory=lambda: Path(platformdirs.user_cache_dir("llmrec")))
    """Where prepared model files lie."""
    prompts: UserPath | None = None
    """A folder of templates that come before the shipped ones of the same name."""
    vocabulary: UserPath | None = None
    """A file of interests to choose from, in place of the shipped one; `catalog` for the catalogue's own
    domains and categories."""
    api_key: str | None = Field(default=None, repr=False)
    """The key for an OpenAI-compatible server; OPENAI_API_KEY is read when this is absent."""
    context_length: int = Field(default=4096, ge=256)
    """Longest prefix and continuation of a local model, in tokens."""
    prefix_megabytes: int = Field(default=40, ge=0)
    """Memory in which a local model remembers what it read of people, so as not to read it again."""
    prefix_folder: UserPath | None = None
    """A folder in which a local model remembers it beyond this process; as private as what people did."""
    threads: int | None = Field(default=None, ge=1)
    """Threads of a local model; None uses every core this process may run on."""
    timeout: float = Field(default=60.0, gt=0)
    """Seconds to wait for one answer of a server."""
    half_life_days: float = Field(default=90.0, gt=0)
    """Days after which an event counts half in the long term, measured back from the person's last event."""
    numbers: InterestNumbers = InterestNumbers()
    """How weights, horizons and tiers follow from events."""
    action_strengths: dict[str, Annotated[float, Field(ge=-1, le=1)]] = Field(default_factory=dict)
    """Strengths by action, added to the known ones or in their place, from -1 to 1."""
    fusion: FusionWeights = FusionWeights()
    """How the signals of a ranking are weighed."""
    log_fusion: LogFusionWeights = LogFusionWeights()
    """How they are where an interaction log is given."""
    profile_fusion: ProfileFusionWeights = ProfileFusionWeights()
    """How they are where the profile alone is ranked by."""
    weights: UserPath | None = None
    """A file that `llmrec tune` wrote: its weights come in place of those above."""
    ranking_strategy: str = "auto"
    """How the model is asked to rank, one of `llmrec.ranking.pipeline.EVERY_STRATEGY`. `auto` takes the
    likelihood ratio where the model gives log-probabilities, and grades where not; `none` asks nothing."""
    strategy_options: dict[str, Any] = Field(default_factory=dict)
    """Options of `ranking_strategy` by name, as its class in `llmrec.ranking` documents them, for example
    `{"prompts": ["history", "basket"]}` for the likelihood ratio."""
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
    unknown = sorted(set(options) - set(Settings.model_fields))
    if unknown:
        raise InputError(
            f"there is no option {unknown[0]!r}: the options are {', '.join(sorted(Settings.model_fields))}"
        )
    try:
        if base is None:
            return Settings(**options)
        # Made anew, the settings would take in the environment once more, and mix it into the mappings.
        settings = base.model_copy()
        for field, value in options.items():
            setattr(settings, field, value)
        return settings
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = [str(part) for part in fault["loc"]]
        nested = place[0] in ("fusion", "log_fusion", "numbers", "profile_fusion")
        variable = "LLMREC_" + "__".join(place[: 2 if nested else 1]).upper()
        message = fault["msg"].removeprefix("Value error, ")
        raise InputError(f"the setting {'.'.join(place)} ({variable}) is not usable: {message}") from error
    except SettingsError as error:
        raise InputError(
            f"a setting in the environment is not usable: {error}; write a mapping as JSON"
        ) from error
