"""Settings: from arguments and the environment, with one sentence for what cannot be used."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from llmrec.behavior.events import KNOWN_ACTIONS
from llmrec.errors import InputError
from llmrec.settings import (
    DEFAULT_ACTION_STRENGTHS,
    InterestNumbers,
    Settings,
    load_settings,
)
from llmrec.weights import SIGNAL_FIELDS, FusionWeights, LogFusionWeights, ProfileFusionWeights


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.upper().startswith("LLMREC_"):
            monkeypatch.delenv(name)


class TestSources:
    def test_each_field_reads_its_variable(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        values = {
            "model": "openai:m@http://localhost:1/v1",
            "embedder": "llama-cpp:/models/minilm.gguf",
            "strategy": "open",
            "language": "zh",
            "store": str(tmp_path / "store.sqlite3"),
            "cache_dir": str(tmp_path),
            "prompts": str(tmp_path),
            "vocabulary": str(tmp_path / "v.jsonl"),
            "api_key": "secret",
            "context_length": "512",
            "prefix_megabytes": "9",
            "prefix_folder": str(tmp_path / "states"),
            "threads": "3",
            "timeout": "7.5",
            "half_life_days": "30",
            "action_strengths": '{"lend": 0.4}',
            "fusion": '{"model": 1, "bm25": 0, "interests": 0}',
            "candidates": "9",
            "labelled_by_model": "4",
            "numbers": '{"core_support": 9}',
            "profile_fusion": '{"hints": 0}',
            "log_fusion": '{"popularity": 0}',
            "weights": str(tmp_path / "weights.json"),
            "ranking_strategy": "none",
            "strategy_options": '{"window": 10}',
        }
        assert set(values) == set(Settings.model_fields)
        for name, value in values.items():
            monkeypatch.setenv(f"LLMREC_{name.upper()}", value)
        settings = load_settings()
        assert settings.fusion == FusionWeights(model=1, bm25=0, interests=0)
        assert settings.action_strengths == {"lend": 0.4}
        assert settings.numbers == InterestNumbers(core_support=9)
        assert settings.profile_fusion == ProfileFusionWeights(hints=0)
        assert settings.log_fusion == LogFusionWeights(popularity=0)
        assert (settings.weights, settings.ranking_strategy) == (tmp_path / "weights.json", "none")
        assert settings.strategy_options == {"window": 10}
        assert (settings.threads, settings.timeout, settings.context_length) == (3, 7.5, 512)
        assert settings.store == tmp_path / "store.sqlite3"
        assert (settings.prefix_megabytes, settings.prefix_folder) == (9, tmp_path / "states")
        assert all(
            getattr(settings, name) != field.get_default(call_default_factory=True)
            for name, field in Settings.model_fields.items()
        )

    def test_one_weight_of_the_fusion_has_its_own_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LLMREC_FUSION__MODEL", "0.9")
        monkeypatch.setenv("LLMREC_PROFILE_FUSION__HINTS", "0.5")
        monkeypatch.setenv("LLMREC_LOG_FUSION__POPULARITY", "0.5")
        monkeypatch.setenv("LLMREC_NUMBERS__SHORT_HALF_LIFE_DAYS", "7")
        assert load_settings().fusion == FusionWeights(model=0.9)
        assert load_settings().profile_fusion == ProfileFusionWeights(hints=0.5)
        assert load_settings().log_fusion == LogFusionWeights(popularity=0.5)
        assert load_settings().numbers == InterestNumbers(short_half_life_days=7)

    def test_an_argument_comes_before_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LLMREC_MODEL", "openai:m")
        monkeypatch.setenv("LLMREC_CANDIDATES", "9")
        settings = load_settings(model="embedded")
        assert (settings.model, settings.candidates) == ("embedded", 9)

    def test_settings_that_were_given_do_not_read_the_environment_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        base = Settings(action_strengths={"lend": 0.4}, fusion=FusionWeights(model=1))
        monkeypatch.setenv("LLMREC_ACTION_STRENGTHS", '{"burn": -1}')
        monkeypatch.setenv("LLMREC_FUSION__BM25", "0.9")
        monkeypatch.setenv("LLMREC_CANDIDATES", "9")
        assert load_settings(base) == base
        settings = load_settings(base, timeout=5)
        assert settings == base.model_copy(update={"timeout": 5.0})
        assert base.timeout == 60
        replaced = load_settings(base, action_strengths={"keep": 1}, fusion={"model": 1})
        assert replaced.action_strengths == {"keep": 1}
        assert replaced.fusion == FusionWeights(model=1)

    @pytest.mark.parametrize("name", ["THREADS", "STORE", "MODEL", "API_KEY", "ACTION_STRENGTHS", "TIMEOUT"])
    def test_an_empty_variable_counts_as_none(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        expected = load_settings()
        monkeypatch.setenv(f"LLMREC_{name}", "")
        assert load_settings() == expected

    def test_a_variable_of_another_tool_does_no_harm(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LLMREC_BENCHMARK_USERS", "3")
        monkeypatch.setenv("MODEL", "x")
        assert load_settings().model == "embedded"

    @pytest.mark.parametrize(
        "field", ["store", "cache_dir", "prompts", "vocabulary", "prefix_folder", "weights"]
    )
    def test_a_path_may_begin_at_home(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, field: str
    ) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.setenv("USERPROFILE", str(tmp_path))
        monkeypatch.setenv(f"LLMREC_{field.upper()}", "~/some/place")
        for settings in (load_settings(), load_settings(**{field: "~/some/place"})):
            assert getattr(settings, field) == tmp_path / "some" / "place"
        monkeypatch.setenv(f"LLMREC_{field.upper()}", "plain~/place")
        assert getattr(load_settings(), field) == Path("plain~/place")


class TestFaults:
    @pytest.mark.parametrize(
        ("name", "value", "field", "reason"),
        [
            ("THREADS", "many", "threads", "valid integer"),
            ("THREADS", "0", "threads", "greater than or equal to 1"),
            ("CONTEXT_LENGTH", "100", "context_length", "greater than or equal to 256"),
            ("PREFIX_MEGABYTES", "-1", "prefix_megabytes", "greater than or equal to 0"),
            ("PREFIX_MEGABYTES", "some", "prefix_megabytes", "valid integer"),
            ("TIMEOUT", "nan", "timeout", "finite number"),
            ("HALF_LIFE_DAYS", "-1", "half_life_days", "greater than 0"),
            ("STRATEGY", "guess", "strategy", "'auto', 'anchored' or 'open'"),
            ("LANGUAGE", "fr", "language", "'auto', 'en' or 'zh'"),
            ("CANDIDATES", "0", "candidates", "greater than or equal to 1"),
            ("ACTION_STRENGTHS", '{"lend": 7}', "action_strengths.lend", "less than or equal to 1"),
            ("FUSION__BM25", "-1", "fusion.bm25", "greater than or equal to 0"),
            ("LOG_FUSION__POPULARITY", "-1", "log_fusion.popularity", "greater than or equal to 0"),
            ("FUSION", json.dumps(dict.fromkeys(SIGNAL_FIELDS, 0)), "fusion", "must be above 0"),
            ("FUSION", '{"gate_low": 0.2}', "fusion", "gate_low (0.2) must be below gate_high (0.1)"),
        ],
    )
    def test_a_value_that_cannot_be_used_is_told_with_its_variable(
        self, monkeypatch: pytest.MonkeyPatch, name: str, value: str, field: str, reason: str
    ) -> None:
        monkeypatch.setenv(f"LLMREC_{name}", value)
        with pytest.raises(InputError) as caught:
            load_settings()
        message = str(caught.value)
        assert message.startswith(f"the setting {field} (LLMREC_{name}) is not usable: ")
        assert reason in message
        assert "\n" not in message
        assert "pydantic" not in message

    def test_a_mapping_that_is_no_json_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LLMREC_ACTION_STRENGTHS", "lend=0.4")
        with pytest.raises(InputError, match=r"action_strengths.*write a mapping as JSON"):
            load_settings()

    @pytest.mark.parametrize("base", [None, Settings()])
    def test_an_option_there_is_not_is_told_with_those_there_are(self, base: Settings | None) -> None:
        with pytest.raises(InputError, match=r"no option 'modle': .*half_life_days.*model, "):
            load_settings(base, modle="embedded")

    @pytest.mark.parametrize("base", [None, Settings()])
    @pytest.mark.parametrize(
        "options", [{"threads": 0}, {"model": 3}, {"fusion": {"modl": 1}}, {"action_strengths": {"x": 2}}]
    )
    def test_an_option_that_cannot_be_used_is_told(
        self, base: Settings | None, options: dict[str, object]
    ) -> None:
        (name,) = options
        before = base and base.model_copy()
        with pytest.raises(InputError, match=f"the setting {name}.* is not usable"):
            load_settings(base, **options)
        assert base == before

    def test_a_misspelt_field_is_not_passed_over(self) -> None:
        with pytest.raises(ValueError, match="modle"):
            Settings(modle="embedded")  # type: ignore[call-arg]


class TestStrengths:
    def test_every_known_action_has_one_within_bounds(self) -> None:
        assert set(DEFAULT_ACTION_STRENGTHS) == set(KNOWN_ACTIONS)
        assert all(-1 <= strength <= 1 for strength in DEFAULT_ACTION_STRENGTHS.values())

    def test_the_users_own_come_first(self) -> None:
        settings = Settings(action_strengths={"view": 0.9, "lend": 0.4})
        assert settings.strength_of("view") == 0.9
        assert settings.strength_of("lend") == 0.4
        assert settings.strength_of("purchase") == DEFAULT_ACTION_STRENGTHS["purchase"]
        assert settings.strength_of("burn") is None


def test_a_key_is_not_shown() -> None:
    settings = Settings(api_key="sk-very-secret")
    assert "very-secret" not in f"{settings!r} {settings}"


@pytest.mark.parametrize(
    "option", [{"half_life_days": float("inf")}, {"numbers": {"short_half_life_days": float("inf")}}]
)
def test_numbers_that_cannot_be_written_down_are_refused(option: dict[str, object]) -> None:
    with pytest.raises(InputError, match="finite number"):
        load_settings(**option)
