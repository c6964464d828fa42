"""Tuning end to end: signals of real rankings, targets from the judge, weights that are better."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from llmrec.candidates.log import InteractionLog
from llmrec.errors import InputError
from llmrec.evaluation.tuning import labelled_people, tune
from llmrec.evaluation.types import Material, ProtocolOptions
from llmrec.ranking.learned import LearnedWeights
from llmrec.recommender import Recommender
from tests.builders import scoring_model
from tests.evaluation.made_datasets import write_lines

KINDS = ("teapot", "lantern", "kite", "drum")
OPTIONS = ProtocolOptions(split="given", negatives="given", negatives_name="random_negatives")


@pytest.fixture(scope="module")
def crafts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """People who buy one kind of thing each; the word for it is in the titles."""
    folder = tmp_path_factory.mktemp("data") / "crafts"
    draw = random.Random(1)
    items = [{"id": f"{kind}{at}", "title": f"{kind} {kind[0]}x{at}"} for kind in KINDS for at in range(20)]
    write_lines(folder / "items.jsonl", items)
    rows, sequences = [], []
    for at in range(24):
        kind = KINDS[at % len(KINDS)]
        own = draw.sample([item["id"] for item in items if item["id"].startswith(kind)], 5)
        others = [item["id"] for item in items if not item["id"].startswith(kind)]
        rows.append(
            {
                "user": f"u{at}",
                "history": own[:4],
                "target": own[4],
                "random_negatives": draw.sample(others, 9),
                "popular_negatives": draw.sample(others, 9),
            }
        )
        sequences.append({"user": f"u{at}", "items": own[:4]})
    write_lines(folder / "dev.jsonl", rows)
    write_lines(folder / "interactions.jsonl", sequences)
    return folder


MODEL = scoring_model()


def recommender(material: Material) -> Recommender:
    return Recommender(MODEL, material.catalog, log=material.log, labelled_by_model=0, language="en")


def test_words_that_decide_get_the_weight(crafts: Path) -> None:
    learned, fusion = tune(crafts, [OPTIONS], recommender, strategy="none")
    assert np.mean(fusion.after) > 0.95
    assert learned.weights.model == 0
    assert learned.model == ""
    assert not learned.with_log
    assert learned.learned_from.people == 24
    assert learned.learned_from.candidates == "random_negatives"
    assert fusion.signals_alone["bm25"] > 0.95
    assert LearnedWeights.model_validate_json(learned.text()) == learned


def test_with_a_log_its_signals_are_weighed(crafts: Path) -> None:
    learned, fusion = tune(crafts, [OPTIONS], recommender, strategy="none", with_log=True)
    assert learned.with_log
    assert fusion.signals_alone["co_occurrence"] > fusion.signals_alone["popularity"]


def test_what_weights_were_learned_from_is_kept(crafts: Path) -> None:
    learned, fusion = tune(crafts, [OPTIONS], recommender, strategy="none")
    assert (learned.learned_from.part, learned.strategy) == ("all", "")
    assert set(fusion.people) == {f"u{at}" for at in range(24)}
    learned, _ = tune(crafts, [OPTIONS], recommender, strategy="yes_no")
    assert learned.strategy == ("yes_no" if learned.weights.model > 0 else "")
    assert bool(learned.model) == bool(learned.strategy)


def test_weights_learned_before_have_no_influence(crafts: Path, tmp_path: Path) -> None:
    learned, _ = tune(crafts, [OPTIONS], recommender, strategy="none")
    path = tmp_path / "weights.json"
    path.write_text(learned.text(), "utf-8")

    def with_weights(material: Material) -> Recommender:
        return Recommender(MODEL, material.catalog, weights=path, labelled_by_model=0, language="en")

    with pytest.raises(InputError, match="open the recommender with weights=None"):
        tune(crafts, [OPTIONS], with_weights, strategy="none")


def test_another_log_than_the_runs_is_refused(crafts: Path) -> None:
    def with_own_log(material: Material) -> Recommender:
        own = InteractionLog({"u0": [item.id for item in material.catalog.items_in_order]})
        return Recommender(MODEL, material.catalog, log=own, labelled_by_model=0, language="en")

    for with_log in (False, True):
        with pytest.raises(InputError, match="is not that of the run"):
            tune(crafts, [OPTIONS], with_own_log, strategy="none", with_log=with_log)


def test_without_a_log_it_is_out_of_reach(crafts: Path) -> None:
    seen: list[int] = []

    def make(material: Material) -> Recommender:
        seen.append(len(material.log))
        return recommender(material)

    tune(crafts, [OPTIONS], make, strategy="none")
    assert seen == [0]


def test_a_stopped_run_goes_on(crafts: Path, tmp_path: Path) -> None:
    first = labelled_people(crafts, OPTIONS, recommender, tmp_path / "run", strategy="none")
    scores = tmp_path / "run" / "scores" / "signals.jsonl"
    lines = scores.read_text("utf-8").splitlines(keepends=True)
    scores.write_text("".join(lines[:10]) + lines[10][:40], "utf-8")
    again = labelled_people(crafts, OPTIONS, recommender, tmp_path / "run", strategy="none")
    assert len(scores.read_text("utf-8").splitlines()) == 24
    assert [case.signals for case in again.cases] == [case.signals for case in first.cases]
    assert [case.taken for case in again.cases] == [case.taken for case in first.cases]


def test_learned_weights_rank(crafts: Path, tmp_path: Path) -> None:
    learned, _ = tune(crafts, [OPTIONS], recommender, strategy="none")
    path = tmp_path / "weights.json"
    path.write_text(learned.text(), "utf-8")
    items = [{"id": f"{kind}{at}", "title": f"{kind} {kind[0]}x{at}"} for kind in KINDS for at in range(20)]
    with Recommender(scoring_model(), items, weights=path, language="en") as opened:
        profile = opened.profile([{"user_id": "new", "action": "purchase", "item_id": "kite3"}])
        ranking = opened.recommend(profile, k=5, basis="history")
        assert all("kite" in placed.item.title for placed in ranking)
        other = opened.recommend(profile, k=5, basis="profile")
        assert any("learned weights are for the basis history" in note for note in other.notes)


def test_the_reported_half_teaches_nothing(crafts: Path) -> None:
    reporting = OPTIONS.model_copy(update={"part": "reporting"})
    with pytest.raises(InputError, match="not learned from the people that figures are reported on"):
        tune(crafts, [reporting], recommender, strategy="none")


def test_a_protocol_is_needed(crafts: Path) -> None:
    with pytest.raises(InputError, match="give at least one"):
        tune(crafts, [], recommender)


def test_too_few_people_are_told(crafts: Path) -> None:
    few = OPTIONS.model_copy(update={"users": 10})
    with pytest.raises(InputError, match="from 10 labelled people: give at least 20"):
        tune(crafts, [few], recommender, strategy="none")
