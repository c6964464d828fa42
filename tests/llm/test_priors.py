"""What holds for nobody in particular is asked of a model once, whoever asks, and whatever the store."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from llmrec.errors import ModelError, StoreError
from llmrec.llm import priors as priors_module
from llmrec.llm.base import Capabilities, LanguageModel
from llmrec.llm.cache import CachedModel, ModelCallCache
from llmrec.llm.priors import FILE, Priors
from llmrec.llm.scripted import ScriptedModel
from llmrec.recommender import Recommender
from tests.builders import SHOP, shopper

CAPABILITIES = Capabilities(
    score=True, generate=False, structured="none", open_answers=False, weights_known=True
)
TEXTS = [" a ship", " a fox"]


def local_model(fingerprint: str = "weights", **changes: Any) -> ScriptedModel:
    """One that can score alone, and whose fingerprint tells its weights."""
    return ScriptedModel(
        scores=lambda prefix, text: -1.0 - len(text) / 7 - len(prefix) % 5,
        fingerprint=fingerprint,
        capabilities=CAPABILITIES.model_copy(update=changes),
    )


def ask(
    model: LanguageModel, folder: Path, prefix: str = "Nobody liked:", texts: list[str] = TEXTS
) -> list[float]:
    """Ask for priors as a recommender does, with a store of its own that forgets all."""
    with (
        contextlib.closing(ModelCallCache()) as store,
        contextlib.closing(Priors(CachedModel(model, store), folder)) as priors,
    ):
        return [score.logprob for score in priors.model.score(prefix, texts)]


class TestPriors:
    def test_they_are_kept_for_whoever_asks_later(self, tmp_path: Path) -> None:
        first, second = local_model(), local_model()
        expected = [score.logprob for score in local_model().score("Nobody liked:", TEXTS)]
        assert ask(first, tmp_path) == ask(second, tmp_path) == expected
        assert len(first.history) == 1
        assert second.history == []
        assert ask(second, tmp_path, texts=[*TEXTS, " an owl"])[:2] == expected
        (call,) = second.history
        assert call.continuations == (" an owl",)

    def test_they_are_those_of_one_model_and_one_prompt(self, tmp_path: Path) -> None:
        ask(local_model(), tmp_path)
        other_weights, other_prompt = local_model("other"), local_model()
        ask(other_weights, tmp_path)
        ask(other_prompt, tmp_path, "Nobody ever read:")
        assert len(other_weights.history) == len(other_prompt.history) == 1

    def test_a_model_that_may_change_unseen_keeps_none(self, tmp_path: Path) -> None:
        for _ in range(2):
            model = local_model(weights_known=False)
            ask(model, tmp_path)
            assert len(model.history) == 1
        assert list(tmp_path.iterdir()) == []

    def test_a_model_without_a_cache_around_it_serves_too(self, tmp_path: Path) -> None:
        model = local_model()
        for _ in range(2):
            priors = Priors(model, tmp_path)
            priors.model.score("Nobody liked:", TEXTS)
            priors.close()
        assert len(model.history) == 1

    def test_nothing_is_opened_before_the_first(self, tmp_path: Path) -> None:
        priors = Priors(local_model(), tmp_path / "cache")
        priors.close()
        assert not (tmp_path / "cache").exists()
        assert priors.model is priors.model
        assert (tmp_path / "cache" / FILE).is_file()
        priors.close()
        priors.close()

    def test_closing_leaves_the_model_open_and_can_be_gone_on_after(self, tmp_path: Path) -> None:
        model = local_model()
        priors = Priors(model, tmp_path)
        before = priors.model.score("Nobody liked:", TEXTS)
        priors.close()
        assert model.score("Somebody liked:", TEXTS)
        assert priors.model.score("Nobody liked:", TEXTS) == before
        assert len(model.history) == 2
        priors.close()

    def test_a_failure_of_the_model_is_not_hidden(self, tmp_path: Path) -> None:
        model = local_model()
        model.close()
        with contextlib.closing(ModelCallCache()) as store:
            priors = Priors(CachedModel(model, store), tmp_path)
            with pytest.raises(ModelError, match="was closed"):
                priors.model.score("Nobody liked:", TEXTS)
            priors.close()

    @pytest.mark.skipif(os.name == "nt", reason="this system has no such permissions")
    def test_only_their_owner_can_read_them(self, tmp_path: Path) -> None:
        mask = os.umask(0)
        try:
            priors = Priors(local_model(), tmp_path / "cache")
            priors.model.score("Nobody liked:", TEXTS)
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "cache").iterdir()}
            priors.close()
        finally:
            os.umask(mask)
        assert modes == dict.fromkeys([FILE, f"{FILE}-wal", f"{FILE}-shm"], 0o600)

    def test_the_oldest_go_when_a_file_with_too_many_is_opened(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(priors_module, "MOST_ANSWERS", 5)
        monkeypatch.setattr(priors_module, "ANSWERS_LEFT", 2)
        texts = [f" item {number}" for number in range(6)]
        for text in texts[:5]:
            ask(local_model(), tmp_path, texts=[text])
        model = local_model()
        ask(model, tmp_path, texts=texts[:5])
        assert model.history == [], "five are not too many"
        ask(model, tmp_path, texts=texts[5:])
        later = local_model()
        ask(later, tmp_path, texts=texts)
        (call,) = later.history
        assert call.continuations == tuple(texts[:4])

    def test_what_cannot_be_removed_now_is_no_failure(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        ask(local_model(), tmp_path)
        monkeypatch.setattr(priors_module, "MOST_ANSWERS", 1)

        def locked(*_: object, **__: object) -> None:
            raise StoreError("the database is locked")

        monkeypatch.setattr(ModelCallCache, "remove_oldest", locked)
        model = local_model()
        assert len(ask(model, tmp_path)) == 2
        assert model.history == []
        assert not caplog.records

    def test_many_threads_share_one(self, tmp_path: Path) -> None:
        model = local_model()
        priors = Priors(model, tmp_path)
        found: list[list[float]] = []
        met: set[int] = set()
        barrier = threading.Barrier(6)

        def work() -> None:
            barrier.wait()
            for number in range(15):
                met.add(id(priors.model))
                scores = priors.model.score("Nobody liked:", [f" {number}", " a fox"])
                found.append([score.logprob for score in scores])

        threads = [threading.Thread(target=work) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        priors.close()
        assert len(found) == 6 * 15
        assert len({tuple(scores) for scores in found}) == 2
        assert len(met) == 1


def _directory(path: Path) -> None:
    path.mkdir(parents=True)


def _no_database(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is no database " * 500)


def _in_the_way(path: Path) -> None:
    path.parent.write_text("a file where the folder should be")


class TestTrouble:
    @pytest.mark.parametrize("prepare", [_directory, _no_database, _in_the_way])
    def test_a_file_that_cannot_be_used_is_told_once_and_costs_only_its_memory(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, prepare: Callable[[Path], None]
    ) -> None:
        folder = tmp_path / "cache"
        prepare(folder / FILE)
        model = local_model()
        priors = Priors(model, folder)
        with caplog.at_level(logging.WARNING):
            for _ in range(3):
                assert len(priors.model.score("Nobody liked:", TEXTS)) == 2
        priors.close()
        assert len(model.history) == 3
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "priors are not kept" in caplog.text

    @pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="no folder is closed to this user")
    def test_a_folder_that_cannot_be_written(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        tmp_path.chmod(0o500)
        try:
            assert len(ask(local_model(), tmp_path)) == 2
        finally:
            tmp_path.chmod(0o700)
        assert "priors are not kept" in caplog.text

    def test_a_file_that_turns_out_to_be_damaged_is_no_failure(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        many = [f" item {number}" for number in range(600)]
        ask(local_model(), tmp_path, texts=many)
        path = tmp_path / FILE
        content = path.read_bytes()
        assert len(content) > 40_000
        # The first pages are whole, so that it opens.
        path.write_bytes(content[:8192] + b"\xa5" * (len(content) - 8192))
        model = local_model()
        assert ask(model, tmp_path, texts=many[::7]) == ask(
            local_model(), tmp_path / "fresh", texts=many[::7]
        )
        assert model.history
        assert caplog.text.count("priors are not kept") == 1

    def test_two_recommenders_at_once_need_not_wait_for_each_other(self, tmp_path: Path) -> None:
        one, other = Priors(local_model(), tmp_path), Priors(local_model(), tmp_path)
        for number in range(20):
            for priors in (one, other):
                assert len(priors.model.score("Nobody liked:", [f" {number}"])) == 1
        one.close()
        other.close()


class TestWithRecommender:
    def test_the_second_person_is_ranked_without_asking_for_anything_neutral(self, tmp_path: Path) -> None:
        first, second = local_model(), local_model()
        one = recommend(first, tmp_path, "xiaoyu", store=tmp_path / "one.sqlite3")
        two = recommend(second, tmp_path, "another", store=tmp_path / "two.sqlite3")
        neutral = {call.prefix for call in first.history} - {call.prefix for call in second.history}
        assert len(neutral) >= 2, "one for the ranking, and one or more for labels"
        assert any("小米" not in prefix for prefix in neutral)
        # The same events of another name: all but the neutral prompts is asked again, and no more.
        assert {call.prefix for call in second.history} == {call.prefix for call in first.history} - neutral
        assert [(item.item.id, item.score) for item in one] == [(item.item.id, item.score) for item in two]

    def test_what_is_kept_is_of_neutral_prompts_alone_and_cannot_be_read(self, tmp_path: Path) -> None:
        first, second = local_model(), local_model()
        recommend(first, tmp_path, "xiaoyu")
        recommend(second, tmp_path, "xiaoyu")
        personal = [call for call in second.history if call.kind == "score"]
        asked = sum(len(call.continuations) for call in first.history)
        kept_of = asked - sum(len(call.continuations) for call in personal)
        with contextlib.closing(sqlite3.connect(tmp_path / FILE)) as connection:
            (count,) = connection.execute("SELECT count(*) FROM model_calls").fetchone()
        assert 0 < count <= kept_of
        content = b"".join(file.read_bytes() for file in tmp_path.glob(f"{FILE}*"))
        for text in [item["title"] for item in SHOP] + ["小米手机 拍照好", "xiaoyu", "手机"]:
            assert text.encode() not in content
            assert text.encode("unicode_escape") not in content

    def test_hosted_models_are_asked_each_time(self, tmp_path: Path) -> None:
        first, second = (local_model(weights_known=False) for _ in range(2))
        recommend(first, tmp_path, "xiaoyu")
        recommend(second, tmp_path, "xiaoyu")
        assert len(first.history) == len(second.history)
        assert not (tmp_path / FILE).exists()

    def test_the_tiny_model_evaluates_less_the_second_time(
        self, open_tiny: Callable[..., LanguageModel], tmp_path: Path
    ) -> None:
        costs, scores = [], []
        for person in ("xiaoyu", "another"):
            model = open_tiny(prefix_megabytes=0)
            ranked = recommend(model, tmp_path, person)
            costs.append(model.usage.prompt_tokens)
            scores.append([item.score for item in ranked])
        assert costs[1] < 0.95 * costs[0]
        assert scores[0] == pytest.approx(scores[1], abs=0.02)


def recommend(model: LanguageModel, cache_dir: Path, person: str, store: Path | None = None) -> Any:
    """The ranking of the shop for a person who bought phones and computers there."""
    with Recommender(model, SHOP, cache_dir=cache_dir, store=store, strategy="anchored") as recommender:
        profile = recommender.profile(shopper(person))
        return recommender.recommend(profile, k=8, repeats=True).items
