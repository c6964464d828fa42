"""How much each signal of a ranking counts."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator


class SignalWeights(BaseModel):
    """How much each signal counts when they are summed into one score; they are normalised to sum to 1.

    The defaults of FusionWeights and LogFusionWeights were learned on one half of the people of three data
    sets (`docs/ranking.md`), all but `capable_model`. That, the gate and all of ProfileFusionWeights were set
    by hand.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    model: float = Field(default=0.0, ge=0)
    """What the language model says, by whatever strategy."""
    capable_model: float = Field(default=0.0, ge=0)
    """The same where the model can be trusted to follow instructions; in place of `model`."""
    bm25: float = Field(default=0.0, ge=0)
    """Words shared with the history, the mean over its events."""
    bm25_best: float = Field(default=0.0, ge=0)
    """Words shared with that event which shares most."""
    embedding: float = Field(default=0.0, ge=0)
    """Likeness in meaning with the history, the mean over its events."""
    embedding_best: float = Field(default=0.0, ge=0)
    """Likeness in meaning with the nearest event."""
    interests: float = Field(default=0.0, ge=0)
    """The weight of the person's interests that the item belongs to."""
    interest_words: float = Field(default=0.0, ge=0)
    """Words shared with the names of interests and hints."""
    hints: float = Field(default=0.0, ge=0)
    """Values and words that the item shares with single items the person touched."""
    popularity: float = Field(default=0.0, ge=0)
    """How many people of the log chose the item."""
    co_occurrence: float = Field(default=0.0, ge=0)
    """How often people of the log chose the item beside those of the history."""
    item_factors: float = Field(default=0.0, ge=0)
    """Nearness to the history among the items' factors, whatever their popularity."""
    popular_factors: float = Field(default=0.0, ge=0)
    """The same, which favours popular items."""
    text_affinity: float = Field(default=0.0, ge=0)
    """How well the item's text goes with the history's texts, as learned from what people chose together."""
    text_appeal: float = Field(default=0.0, ge=0)
    """How much the item's text is like those of what people chose, whoever asks."""
    scale: float = Field(default=1.5, gt=0)
    """Log-odds a unit of score: what turns scores into probabilities."""
    gate_low: float = Field(default=0.02, ge=0, le=1)
    """The model's certainty at and below which its weight is 0."""
    gate_high: float = Field(default=0.1, gt=0, le=1)
    """The model's certainty from which on it has its full weight."""

    @model_validator(mode="after")
    def _usable(self) -> SignalWeights:
        if not any(self.by_signal().values()):
            raise ValueError(f"one of the weights {', '.join(SIGNAL_FIELDS)} must be above 0")
        if self.gate_low >= self.gate_high:
            raise ValueError(f"gate_low ({self.gate_low:g}) must be below gate_high ({self.gate_high:g})")
        return self

    def by_signal(self, *, capable: bool = False) -> dict[str, float]:
        """The weights by signal; `model` is that of a capable model where it is one."""
        weights = {name: float(getattr(self, name)) for name in SIGNAL_FIELDS}
        trusted = weights.pop("capable_model")
        if capable and trusted:
            weights["model"] = trusted
        return weights


SIGNAL_FIELDS = tuple(
    name for name in SignalWeights.model_fields if name not in ("scale", "gate_low", "gate_high")
)


class FusionWeights(SignalWeights):
    """The weights where texts and the model are all there is."""

    model: float = Field(default=0.12, ge=0)
    capable_model: float = Field(default=1.0, ge=0)
    bm25: float = Field(default=0.36, ge=0)
    bm25_best: float = Field(default=0.18, ge=0)
    embedding: float = Field(default=0.18, ge=0)
    embedding_best: float = Field(default=0.08, ge=0)
    interests: float = Field(default=0.15, ge=0)
    scale: float = Field(default=1.0, gt=0)


class LogFusionWeights(SignalWeights):
    """The weights where there is an interaction log too."""

    model: float = Field(default=0.06, ge=0)
    capable_model: float = Field(default=0.5, ge=0)
    bm25: float = Field(default=0.13, ge=0)
    bm25_best: float = Field(default=0.09, ge=0)
    embedding: float = Field(default=0.07, ge=0)
    embedding_best: float = Field(default=0.04, ge=0)
    popularity: float = Field(default=0.08, ge=0)
    co_occurrence: float = Field(default=0.07, ge=0)
    item_factors: float = Field(default=0.4, ge=0)
    popular_factors: float = Field(default=0.06, ge=0)
    scale: float = Field(default=1.4, gt=0)


class ProfileFusionWeights(SignalWeights):
    """The weights where a profile alone is ranked by, without the history behind it."""

    model: float = Field(default=0.3, ge=0)
    capable_model: float = Field(default=1.0, ge=0)
    interests: float = Field(default=0.25, ge=0)
    interest_words: float = Field(default=0.25, ge=0)
    hints: float = Field(default=0.2, ge=0)
