"""What a Recommender opens it closes, also when the opening fails half way."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from llmrec.errors import ModelError, StoreError
from llmrec.llm.static_embedder import StaticEmbedder
from llmrec.recommender import Recommender
from llmrec.settings import Settings
from llmrec.store import Store
from llmrec.workshop import Progress, Workshop
from tests.builders import events_of, sample, scoring_model

OPTIONS = {"store": None, "embedder": None, "progress": None}


def test_what_was_given_stays_open_and_what_was_opened_is_closed(tmp_path: Path) -> None:
    pytest.importorskip("wordllama")
    model, store, embedder = scoring_model(), Store(tmp_path / "given.sqlite3"), StaticEmbedder()
    given = Workshop(model, (), settings=Settings(), store=store, embedder=embedder, progress=None)
    given.close()
    assert model.score("a", [" b"])
    assert store.people() == []
    assert embedder.embed(["film"]).any()
    own = Workshop(model, (), settings=Settings(), **{**OPTIONS, "store": tmp_path / "own.sqlite3"})  # type: ignore[arg-type]
    own.close()
    with pytest.raises(StoreError):
        own.store.people()
    with pytest.raises(ModelError):
        own.embedder.embed(["film"])  # type: ignore[union-attr]
    own.close()


@pytest.mark.parametrize("wrong", [{"embedder": "nonsense"}, {"model": "nonsense"}])
def test_what_was_opened_before_a_failure_is_closed(wrong: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        Workshop(
            wrong.get("model", scoring_model()),  # type: ignore[arg-type]
            (),
            settings=Settings(),
            store=tmp_path / "s.sqlite3",
            embedder=wrong.get("embedder"),
            progress=None,
        )
    # A file that was left open would warn when it is collected, and warnings are errors.
    gc.collect()


def test_a_named_embedder_must_be_there_and_the_usual_one_may_be_absent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent(*_: object, **__: object) -> None:
        raise ModelError("wordllama is not installed")

    monkeypatch.setattr("llmrec.llm.registry._static_embedder", absent)
    assert Workshop(scoring_model(), (), settings=Settings(), **OPTIONS).embedder is None  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="not installed"):
        Workshop(scoring_model(), (), settings=Settings(embedder="wordllama"), **OPTIONS)  # type: ignore[arg-type]


def test_an_interview_needs_no_events_and_no_model_that_writes() -> None:
    told: list[Progress] = []
    with Recommender(scoring_model(), sample("items"), progress=told.append) as recommender:
        profile = recommender.profile([], user_id="new")
        first = recommender.ask(profile)
        assert first is not None
        liked = recommender.answer(profile, first, "yes")
        assert liked.hierarchy[first.id].polarity == "positive"
        second = recommender.ask(liked, asked=[first.id])
        assert second is not None
        assert second.id != first.id
        refused = recommender.answer(liked, second, "no")
        assert refused.hierarchy[second.id].polarity == "negative"
        assert recommender.answer(refused, second, "no opinion").hierarchy == refused.hierarchy
        own = recommender.answer(refused, second, "I love jazz")
        assert "music/jazz" in own.hierarchy
        assert len(recommender.store.events("new")) == 3
        assert recommender.store.profile("new") == own
        assert "reading the catalogue" in {progress.stage for progress in told}


def test_predictions_are_marked_and_change_nothing_else() -> None:
    with Recommender(scoring_model(), sample("items")) as recommender:
        profile = recommender.profile(events_of("owen"))
        found = recommender.anticipate(profile, k=3)
        assert len(found.predicted) == 3
        assert found.hierarchy == profile.hierarchy
        assert found.entries == profile.entries
        held = {interest.id for interest in profile.interests}
        for predicted in found.predicted:
            assert predicted.id not in held
            assert set(predicted.inferred_from) <= held
        assert recommender.update(found, []).predicted == ()


def test_the_catalogues_own_categories_can_be_the_vocabulary() -> None:
    items = [
        {"id": "1", "title": "One", "domain": "Tea", "categories": ["Oolong"]},
        {"id": "2", "title": "Two", "domain": "Tea", "categories": ["Oolong"]},
        {"id": "3", "title": "Three", "domain": "Coffee", "categories": ["Beans"]},
        {"id": "4", "title": "Four", "domain": "Coffee", "categories": ["Beans"]},
    ]
    with Recommender(scoring_model(), items, vocabulary="catalog") as recommender:
        profile = recommender.profile([{"user_id": "a", "action": "like", "item_id": "1"}])
        assert {profile.hierarchy.path(one.id) for one in profile.interests} == {("Tea",), ("Tea", "Oolong")}
        assert recommender.recommend(profile, k=1)[0].item.id == "2"
