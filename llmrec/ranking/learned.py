"""Weights learned from labelled people, with where they come from, as one JSON file."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llmrec.behavior.events import describe_validation_error
from llmrec.candidates.text_affinity import TextAffinity
from llmrec.errors import InputError
from llmrec.ranking.context import Basis
from llmrec.weights import SignalWeights


class LearnedFrom(BaseModel):
    """What weights were learned from, and how good they were on people they had not seen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: str
    fingerprint: str
    people: int
    candidates: str
    """Which negatives stood beside the targets, for example `random, 19`."""
    part: Literal["all", "learning", "reporting"] = "all"
    """The part of the data set's people they were learned from, as in `llmrec tune --part`."""
    ndcg_before: float
    """NDCG@10 with the weights so far, from 0 to 1."""
    ndcg_after: float
    """NDCG@10 with the learned ones, by cross-validation."""
    signals_alone: dict[str, float] = Field(default_factory=dict)
    """NDCG@10 of each signal by itself."""
    created: datetime


class LearnedWeights(BaseModel):
    """A file of `llmrec tune`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["llmrec weights 1"] = "llmrec weights 1"
    basis: Basis
    """What of a person is ranked by where these weights hold."""
    with_log: bool
    """Whether they are for a recommender that has an interaction log."""
    model: str
    """The fingerprint of the language model whose signal was weighed; empty where none was asked."""
    strategy: str = ""
    """How that model was asked, as in `Settings.ranking_strategy`; empty where none was, or nobody knows."""
    weights: SignalWeights
    affinity: dict[str, Any] | None = None
    """What TextAffinity learned from the labelled people's histories."""
    learned_from: LearnedFrom

    @classmethod
    def load(cls, path: Path) -> LearnedWeights:
        """Read a file. Raises InputError when it is not there, or is none."""
        try:
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"the weights at {path} cannot be read: give a file of llmrec tune") from error
        try:
            found = cls.model_validate_json(text)
        except ValidationError as error:
            fault = describe_validation_error(error)
            raise InputError(f"{path} is no file of llmrec tune: {fault}") from error
        found.text_affinity(path)
        return found

    def text_affinity(self, path: Path | str = "the weights") -> TextAffinity | None:
        """The text affinity, where one was learned. Raises InputError when its numbers are damaged."""
        if self.affinity is None:
            return None
        try:
            return TextAffinity.from_document(self.affinity)
        except (KeyError, OverflowError, TypeError, ValueError) as error:
            raise InputError(f"the text affinity in {path} is damaged: run llmrec tune again") from error

    def text(self) -> str:
        """As JSON."""
        return json.dumps(self.model_dump(mode="json"), ensure_ascii=False, indent=1) + "\n"
