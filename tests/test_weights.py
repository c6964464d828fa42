"""The weights of signals: their names, their bounds, and what a capable model changes."""

from __future__ import annotations

import re

import pytest
from pydantic import ValidationError

from llmrec.errors import InputError
from llmrec.settings import load_settings
from llmrec.weights import (
    SIGNAL_FIELDS,
    FusionWeights,
    LogFusionWeights,
    ProfileFusionWeights,
    SignalWeights,
)

EVERY = [FusionWeights, LogFusionWeights, ProfileFusionWeights]


@pytest.mark.parametrize("made", EVERY)
def test_the_defaults_can_be_used_and_count_signals_that_are_there(made: type[SignalWeights]) -> None:
    weights = made()
    assert set(made.model_fields) == set(SignalWeights.model_fields)
    by_signal = weights.by_signal()
    assert by_signal["model"] == weights.model > 0
    assert "capable_model" not in by_signal
    of_log = {"popularity", "co_occurrence", "item_factors", "popular_factors"}
    if made is not LogFusionWeights:
        assert not any(by_signal[name] for name in of_log)
    of_history = {"bm25", "bm25_best", "embedding", "embedding_best", "text_affinity", "text_appeal"}
    if made is ProfileFusionWeights:
        assert not any(by_signal[name] for name in of_history)


def test_every_field_but_the_scale_and_the_gate_is_a_signal() -> None:
    assert set(SIGNAL_FIELDS) == set(SignalWeights.model_fields) - {"scale", "gate_low", "gate_high"}
    assert set(SignalWeights(bm25=1).by_signal()) == set(SIGNAL_FIELDS) - {"capable_model"}


def test_a_capable_model_has_a_weight_of_its_own_where_one_is_given() -> None:
    weights = SignalWeights(model=0.2, capable_model=0.7, bm25=1)
    assert weights.by_signal()["model"] == 0.2
    assert weights.by_signal(capable=True)["model"] == 0.7
    assert weights.by_signal(capable=True)["bm25"] == 1
    assert SignalWeights(model=0.2).by_signal(capable=True)["model"] == 0.2


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "must be above 0"),
        ({"bm25": -1}, "greater than or equal to 0"),
        ({"bm25": float("inf")}, "finite"),
        ({"bm25": float("nan")}, "finite"),
        ({"bm26": 1}, "bm26"),
        ({"bm25": 1, "scale": 0}, "greater than 0"),
        ({"bm25": 1, "gate_low": 0.1, "gate_high": 0.1}, "gate_low (0.1) must be below gate_high (0.1)"),
        ({"bm25": 1, "gate_low": 0.2}, "gate_low (0.2) must be below gate_high (0.1)"),
        ({"bm25": 1, "gate_high": 1.5}, "less than or equal to 1"),
    ],
)
def test_weights_that_make_no_sense_are_refused(fields: dict[str, float], said: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(said)):
        SignalWeights.model_validate(fields)


def test_a_weight_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMREC_FUSION__BM25", "0.9")
    monkeypatch.setenv("LLMREC_LOG_FUSION__GATE_HIGH", "0.3")
    settings = load_settings()
    assert settings.fusion.bm25 == 0.9
    assert settings.fusion.embedding == FusionWeights().embedding, "the others stay as they are"
    assert settings.log_fusion.gate_high == 0.3


def test_a_setting_that_makes_no_sense_is_named_with_its_variable() -> None:
    with pytest.raises(InputError, match=re.escape("fusion.bm25 (LLMREC_FUSION__BM25) is not usable")):
        load_settings(fusion={"bm25": -1})
    with pytest.raises(InputError, match="gate_low"):
        load_settings(log_fusion={"gate_low": 0.9})
