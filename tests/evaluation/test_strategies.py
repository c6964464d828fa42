"""Strategies opened over the material of a run."""

from __future__ import annotations

import pytest

from llmrec.errors import InputError
from llmrec.evaluation import strategies
from llmrec.evaluation.strategies import StrategySystems, known_strategies
from llmrec.llm.scripted import ScriptedModel
from llmrec.settings import load_settings
from tests.builders import SCORES_ONLY
from tests.evaluation.made_systems import MATERIAL, query
from tests.evaluation.test_guards import learned


@pytest.fixture
def opened(monkeypatch):
    models = []

    def open_model(specification, settings):
        models.append(ScriptedModel(capabilities=SCORES_ONLY, fingerprint="scripted"))
        return models[-1]

    monkeypatch.setattr(strategies, "open_model", open_model)
    return models


def test_without_a_name_the_recommender_as_it_is(opened):
    with StrategySystems(load_settings()) as made:
        (system,) = made.systems(MATERIAL)
        assert system.name == "llmrec"
        scored = system.scores(query(history="a", candidates="fdb"))
        assert max(scored.scores) == scored.scores[2]
        # The log is used: what stands beside an item in it is known.
        assert "popularity" in scored.signals
    assert len(opened) == 1


def test_without_a_log_texts_are_all_they_have(opened):
    with StrategySystems(load_settings(), use_log=False) as made:
        (system,) = made.systems(MATERIAL)
        scored = system.scores(query(history="a", candidates="fdb"))
        assert "bm25" in scored.signals
        assert "popularity" not in scored.signals


def test_weights_that_do_not_fit_are_refused(opened, tmp_path):
    path = tmp_path / "weights.json"
    path.write_text(learned(basis="both", with_log=True).text(), "utf-8")
    with StrategySystems(load_settings(weights=path)) as made:
        made.systems(MATERIAL)
    for wrong in ({"basis": "history"}, {"use_log": False}):
        with (
            StrategySystems(load_settings(weights=path), **wrong) as made,
            pytest.raises(InputError, match="the learned weights are for the basis both with"),
        ):
            made.systems(MATERIAL)


def test_each_strategy_and_each_by_itself(opened):
    with StrategySystems(load_settings(), ("auto", "yes_no", "none", "yes_no"), bare=True) as made:
        systems = made.systems(MATERIAL)
        assert [system.name for system in systems] == ["llmrec", "llmrec-yes_no", "yes_no", "llmrec-none"]
        assert len({system.fingerprint for system in systems}) == 4
        for system in systems:
            assert len(system.scores(query()).scores) == 4
    assert len(opened) == 1


def test_other_prompts_with_the_same_model(opened, tmp_path):
    with StrategySystems(load_settings()) as made:
        (own,) = made.systems(MATERIAL)
        other = made.paraphrased(tmp_path)
        (paraphrased,) = other.systems(MATERIAL)
        assert paraphrased.name == own.name
        folder = tmp_path / "ranking" / "en"
        folder.mkdir(parents=True)
        (folder / "history.jinja").write_text("What they liked:\n-\n")
        assert paraphrased.fingerprint != own.fingerprint
        with pytest.raises(InputError, match="no folder of prompts"):
            made.paraphrased(tmp_path / "none")
    assert len(opened) == 1


def test_nothing_is_kept_in_the_store_of_the_settings(opened, tmp_path):
    store = tmp_path / "own.sqlite3"
    with StrategySystems(load_settings(store=store)) as made:
        made.systems(MATERIAL)[0].scores(query())
    assert not store.exists()


def test_the_model_is_closed_with_it(opened):
    with StrategySystems(load_settings()) as made:
        made.systems(MATERIAL)
    with pytest.raises(Exception, match="closed"):
        opened[0].score("a", [" b"])


def test_names():
    known = known_strategies()
    assert known[0] == "auto"
    assert known[-1] == "none"
    assert {"yes_no", "pairwise", "likelihood_ratio"} <= set(known)
