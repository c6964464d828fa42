"""Weights in a file: what is read, what is refused, and where a ranking uses them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmrec.candidates.log import InteractionLog
from llmrec.candidates.text_affinity import TextAffinity
from llmrec.errors import InputError
from llmrec.ranking.learned import LearnedWeights
from llmrec.recommender import Recommender
from llmrec.weights import FusionWeights
from tests.builders import scoring_model
from tests.interests.extraction_tools import ToldEmbedder
from tests.ranking.test_lexical import ITEMS, told

FROM = {
    "dataset": "games",
    "fingerprint": "f",
    "people": 300,
    "candidates": "random, 19",
    "ndcg_before": 0.5,
    "ndcg_after": 0.6,
    "created": "2026-01-02T03:04:05Z",
}
NEAR: dict[str, list[float]] = {"alien": [1.0, 0.0, 0.2], "hotel": [0.0, 1.0, 0.1], "plenty": [0.4, 0.0, 1.0]}


def affinity(vectors_of: str = "told+words512", dimensions: int = 64 + 512) -> dict[str, Any]:
    """One that finds items with the second number appealing."""
    return TextAffinity(
        history_mean=np.zeros(dimensions),
        item_mean=np.zeros(dimensions),
        history_map=np.eye(dimensions)[:, :1],
        item_map=np.eye(dimensions)[:, :1],
        correlations=np.array([0.5]),
        appeal_direction=np.eye(dimensions)[1],
        vectors_of=vectors_of,
        pairs=1,
    ).as_document()


def document(**fields: Any) -> dict[str, Any]:
    return {
        "basis": "both",
        "with_log": False,
        "model": "",
        "weights": {"interests": 1.0},
        "learned_from": FROM,
        **fields,
    }


def written(path: Path, **fields: Any) -> Path:
    path.write_text(json.dumps(document(**fields)), encoding="utf-8")
    return path


def recommended(path: Path, **options: Any) -> Any:
    basis, strategy = options.pop("basis", "both"), options.pop("strategy", "none")
    given = {"embedder": ToldEmbedder(NEAR), "labelled_by_model": 0, **options}
    with Recommender(scoring_model(), ITEMS, weights=path, **given) as recommender:
        profile = recommender.profile(told(("search", "hotel"), ("like", "alien")))
        return recommender.recommend(
            profile, candidates=["shining", "hotel", "plenty"], basis=basis, strategy=strategy, k=3
        )


def test_a_file_comes_back_as_it_was_written(tmp_path: Path) -> None:
    made = LearnedWeights.model_validate(document(affinity=affinity(), weights=FusionWeights(bm25=0.7)))
    path = tmp_path / "weights.json"
    path.write_text(made.text(), encoding="utf-8")
    back = LearnedWeights.load(path)
    assert back.weights.bm25 == 0.7
    assert back.weights.by_signal() == made.weights.by_signal()
    assert back.learned_from == made.learned_from
    read = back.text_affinity()
    assert read is not None
    assert read.as_document() == affinity()
    assert made.text().endswith("}\n")


def test_a_file_without_an_affinity_has_none(tmp_path: Path) -> None:
    assert LearnedWeights.load(written(tmp_path / "w.json")).text_affinity() is None


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"basis": "profil"}, "basis"),
        ({"format": "llmrec weights 2"}, "format"),
        ({"more": 1}, "more"),
        ({"weights": {"bm26": 1.0}}, "weights.bm26"),
        ({"weights": {"bm25": -1.0}}, "weights.bm25"),
        ({"weights": {}}, "must be above 0"),
        ({"learned_from": {**FROM, "people": "some"}}, "learned_from.people"),
        ({"learned_from": {**FROM, "more": 1}}, "learned_from.more"),
        ({"affinity": "much"}, "affinity"),
    ],
)
def test_a_file_that_is_none_is_refused_with_the_place(
    tmp_path: Path, fields: dict[str, Any], said: str
) -> None:
    path = written(tmp_path / "w.json", **fields)
    with pytest.raises(InputError, match="is no file of llmrec tune: ") as refused:
        LearnedWeights.load(path)
    assert said in str(refused.value)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"basis": "both"}', b"null"])
def test_what_is_no_such_json_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "w.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is no file of llmrec tune"):
        LearnedWeights.load(path)


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.json", tmp_path):
        with pytest.raises(InputError, match="cannot be read: give a file of llmrec tune"):
            LearnedWeights.load(path)
    (tmp_path / "latin").write_bytes(b'{"dataset": "\xe9"}')
    with pytest.raises(InputError, match="cannot be read"):
        LearnedWeights.load(tmp_path / "latin")


@pytest.mark.parametrize(
    "damage",
    [
        {"correlations": [0.5, 0.5]},
        {"correlations": [2.0]},
        {"item_map": None},
        {"history_mean": ["x"]},
        {"pairs": None},
    ],
)
def test_a_damaged_affinity_is_told_when_the_file_is_read(tmp_path: Path, damage: dict[str, Any]) -> None:
    path = written(tmp_path / "w.json", affinity={**affinity(), **damage})
    with pytest.raises(InputError, match=r"the text affinity in .* is damaged: run llmrec tune again"):
        LearnedWeights.load(path)


def test_numbers_that_no_number_is_are_damage_as_well(tmp_path: Path) -> None:
    text = json.dumps(document(affinity=affinity())).replace('"pairs": 1', '"pairs": Infinity')
    path = tmp_path / "w.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"is damaged|is no file"):
        LearnedWeights.load(path)


def test_learned_weights_decide_a_ranking(tmp_path: Path) -> None:
    by_words = recommended(written(tmp_path / "a.json", weights={"bm25": 1.0}))
    by_interests = recommended(written(tmp_path / "b.json", weights={"interests": 1.0}))
    for ranking, name in ((by_words, "bm25"), (by_interests, "interests")):
        assert ranking.notes == ()
        for placed in ranking:
            assert placed.score == pytest.approx(placed.signals[name].contribution)
        values = [placed.signals[name].value for placed in ranking]
        assert values == sorted(values, reverse=True)


def test_the_scale_of_learned_weights_decides_how_bold_probabilities_are(tmp_path: Path) -> None:
    timid, bold = (
        recommended(written(tmp_path / "w.json", weights={"bm25": 1.0, "scale": scale})) for scale in (0.5, 5)
    )
    assert timid[0].item.id == bold[0].item.id
    assert timid[0].probability < bold[0].probability


@pytest.mark.parametrize(
    ("learned", "asked", "told"),
    [
        ("yes_no", "likelihood_ratio", True),
        ("yes_no", "yes_no", False),
        ("yes_no", "none", False),
        ("likelihood_ratio", None, False),
        ("", "yes_no", False),
    ],
)
def test_weights_learned_with_another_strategy_are_told(
    tmp_path: Path, learned: str, asked: str | None, told: bool
) -> None:
    path = written(
        tmp_path / "w.json", strategy=learned, model="m", weights={"model": 1.0, "bm25": 1.0, "gate_low": 0.0}
    )
    notes = recommended(path, strategy=asked).notes
    said = "the learned weights were learned with the strategy yes_no, and likelihood_ratio was asked"
    assert any(said in note for note in notes) == told


def test_learned_weights_without_the_model_leave_it_unasked(tmp_path: Path) -> None:
    path = written(tmp_path / "w.json", weights={"bm25": 1.0})
    assert "likelihood_ratio" not in recommended(path, strategy=None)[0].signals
    assert "likelihood_ratio" in recommended(path, strategy="auto")[0].signals


@pytest.mark.parametrize(
    ("fields", "basis", "said"),
    [
        ({"basis": "profile"}, "both", "for the basis profile without an interaction log"),
        ({"basis": "both"}, "history", "for the basis both without an interaction log"),
        ({"with_log": True}, "both", "for the basis both with an interaction log"),
    ],
)
def test_weights_for_something_else_are_not_used_and_it_is_said(
    tmp_path: Path, fields: dict[str, Any], basis: str, said: str
) -> None:
    path = written(tmp_path / "w.json", **fields, weights={"hints": 1.0})
    ranking = recommended(path, basis=basis)
    (note,) = (note for note in ranking.notes if "learned weights" in note)
    assert said in note
    assert "those of the settings were used" in note
    assert any(part.contribution for part in ranking[0].signals.values())


def test_weights_with_a_log_hold_where_there_is_one(tmp_path: Path) -> None:
    log = InteractionLog({"p": ["plenty"], "q": ["plenty", "hotel"]})
    path = written(tmp_path / "w.json", with_log=True, weights={"popularity": 1.0})
    ranking = recommended(path, log=log)
    assert ranking.notes == ()
    assert [placed.item.id for placed in ranking] == ["plenty", "hotel", "shining"]
    without = recommended(written(tmp_path / "w.json", weights={"bm25": 1.0}), log=log)
    assert any("without an interaction log" in note for note in without.notes)


def test_an_affinity_adds_its_signals_for_its_embedder_alone(tmp_path: Path) -> None:
    path = written(tmp_path / "w.json", affinity=affinity(), weights={"text_appeal": 1.0})
    ranking = recommended(path)
    assert {"text_affinity", "text_appeal"} <= set(ranking[0].signals)
    assert ranking[0].score == pytest.approx(ranking[0].signals["text_appeal"].contribution)
    assert "such things are chosen often" in ranking[0].why
    other = written(tmp_path / "x.json", affinity=affinity("another"))
    with pytest.raises(InputError, match="are for another embedder than this one"):
        recommended(other)
