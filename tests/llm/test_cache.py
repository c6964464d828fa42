"""Answers kept by the hash of the request: each question costs one call, and a bad disk costs none."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.errors import AnswerError, CallCancelledError, ModelError, StoreError
from llmrec.llm.base import Completion, Message, Score, Usage, forget_prefixes
from llmrec.llm.cache import CachedModel, ModelCallCache, naming_prompt
from llmrec.llm.cancellation import Cancellation
from llmrec.llm.scripted import ScriptedModel
from tests.llm.contract import LanguageModelContract

QUESTION = [Message(role="user", content="Name a colour.")]
OTHER = [Message(role="user", content="Name a planet.")]


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[ModelCallCache]:
    cache = ModelCallCache(tmp_path / "folder" / "calls.sqlite3")
    yield cache
    cache.close()


class TestContract(LanguageModelContract):
    @pytest.fixture
    def model(self, cache: ModelCallCache) -> CachedModel:
        return CachedModel(ScriptedModel(*["Once upon a time a fox met an owl, and they talked."] * 3), cache)


class TestGenerate:
    def test_the_same_question_costs_one_call(self, cache: ModelCallCache) -> None:
        wrapped = ScriptedModel("red", "never asked for")
        model = CachedModel(wrapped, cache)
        first = model.generate(QUESTION, schema={"type": "object"})
        again = model.generate(QUESTION, schema={"type": "object"})
        assert len(wrapped.history) == 1
        assert again == first.model_copy(update={"usage": Usage(cached_calls=1)})
        assert model.usage == wrapped.usage + Usage(cached_calls=1)
        assert model.wrapped is wrapped

    @pytest.mark.parametrize(
        "change",
        [
            {"messages": OTHER},
            {"messages": [Message(role="system", content="Name a colour.")]},
            {"schema": {"type": "object"}},
            {"max_tokens": 9},
            {"temperature": 0.5},
            {"seed": 1},
            {"stop": ["."]},
        ],
    )
    def test_another_question_is_another_call(self, cache: ModelCallCache, change: dict[str, object]) -> None:
        model = CachedModel(ScriptedModel("red", "blue"), cache)
        assert model.generate(QUESTION).text == "red"
        assert model.generate(**{"messages": QUESTION, **change}).text == "blue"  # type: ignore[arg-type]

    def test_the_order_of_a_schema_matters(self, cache: ModelCallCache) -> None:
        # A model fills the properties in their order: another order is another question.
        model = CachedModel(ScriptedModel("red", "blue"), cache)
        model.generate(QUESTION, schema={"properties": {"a": {}, "b": {}}})
        assert model.generate(QUESTION, schema={"properties": {"b": {}, "a": {}}}).text == "blue"

    def test_models_do_not_share_answers_unless_they_are_equal(self, cache: ModelCallCache) -> None:
        assert CachedModel(ScriptedModel("red", fingerprint="a"), cache).generate(QUESTION).text == "red"
        assert CachedModel(ScriptedModel("blue", fingerprint="b"), cache).generate(QUESTION).text == "blue"
        assert CachedModel(ScriptedModel(fingerprint="a"), cache).generate(QUESTION).text == "red"

    @pytest.mark.parametrize("reason", ["length", "content_filter", "cancelled"])
    def test_an_answer_that_did_not_end_by_itself_is_not_kept(
        self, cache: ModelCallCache, reason: str
    ) -> None:
        model = CachedModel(ScriptedModel(Completion(text="re", finish_reason=reason), "red"), cache)
        assert model.generate(QUESTION).text == "re"
        assert model.generate(QUESTION).text == "red"

    def test_a_known_answer_comes_in_one_piece(self, cache: ModelCallCache) -> None:
        model = CachedModel(ScriptedModel("red and blue", ""), cache)
        pieces: list[str] = []
        for _ in range(2):
            model.generate(QUESTION, on_text=pieces.append)
        assert pieces == ["red", " and", " blue", "red and blue"]
        for _ in range(2):
            model.generate(OTHER, on_text=pieces.append)
        assert len(pieces) == 4

    def test_an_answer_cancelled_on_the_way_is_asked_for_again(self, cache: ModelCallCache) -> None:
        cancellation, pieces = Cancellation(), list[str]()

        def hear(piece: str) -> None:
            pieces.append(piece)
            cancellation.cancel()

        model = CachedModel(ScriptedModel("red and blue", "green"), cache)
        cut = model.generate(QUESTION, on_text=hear, cancellation=cancellation)
        assert (cut.text, cut.finish_reason, pieces) == ("red", "cancelled", ["red"])
        assert model.generate(QUESTION).text == "green"

    def test_a_cancelled_call_ends_alike_whether_its_answer_is_known_or_not(
        self, cache: ModelCallCache
    ) -> None:
        model = CachedModel(ScriptedModel("red", "blue"), cache)
        model.generate(QUESTION)
        model.score("a", [" b"])
        cancellation = Cancellation()
        cancellation.cancel()
        before = model.usage
        for question in (QUESTION, OTHER):
            assert model.generate(question, on_text=pytest.fail, cancellation=cancellation) == Completion(
                text="", finish_reason="cancelled"
            )
        for continuation in (" b", " c"):
            with pytest.raises(CallCancelledError):
                model.score("a", [continuation], cancellation=cancellation)
        assert model.usage == before
        assert model.generate(OTHER).text == "blue"

    def test_a_failure_is_not_kept(self, cache: ModelCallCache) -> None:
        model = CachedModel(ScriptedModel(AnswerError("no"), "red"), cache)
        with pytest.raises(AnswerError):
            model.generate(QUESTION)
        assert model.generate(QUESTION).text == "red"

    def test_halves_of_surrogate_pairs_survive(self, cache: ModelCallCache) -> None:
        model = CachedModel(ScriptedModel("half \ud83d"), cache)
        question = [Message(role="user", content="half \ud83d")]
        assert model.generate(question).text == model.generate(question).text == "half \ud83d"


class TestScore:
    def test_only_unknown_continuations_are_asked_for(self, cache: ModelCallCache) -> None:
        wrapped = ScriptedModel()
        model = CachedModel(wrapped, cache)
        first = model.score("a fox", [" fox", " owl"])
        mixed = model.score("a fox", [" bear", " owl", " fox", " bear"])
        assert wrapped.history[-1].continuations == (" bear",)
        assert mixed == wrapped.score("a fox", [" bear", " owl", " fox", " bear"])
        assert mixed[1:3] == first[::-1]
        assert model.usage.cached_calls == 0
        asked = len(wrapped.history)
        assert model.score("a fox", [" bear", " fox"]) == [mixed[0], mixed[2]]
        assert len(wrapped.history) == asked
        assert model.usage.cached_calls == 1

    def test_prefix_and_continuation_are_not_confused(self, cache: ModelCallCache) -> None:
        model = CachedModel(ScriptedModel(scores=lambda prefix, _: -float(len(prefix))), cache)
        assert model.score("ab", ["c"])[0].logprob == -2
        assert model.score("a", ["bc"])[0].logprob == -1

    def test_more_continuations_than_one_query_takes(self, cache: ModelCallCache) -> None:
        wrapped = ScriptedModel()
        model = CachedModel(wrapped, cache)
        continuations = [f" word{number}" for number in range(1700)]
        first = model.score("a", continuations)
        assert model.score("a", continuations) == first
        assert len(wrapped.history) == 1
        assert len(cache) == 1700

    @given(st.lists(st.lists(st.sampled_from([" a", " b", " c", "", " 电影"]), max_size=6), max_size=6))
    def test_answers_are_those_of_the_model(self, calls: list[list[str]]) -> None:
        cache = ModelCallCache()
        wrapped = ScriptedModel()
        model = CachedModel(wrapped, cache)
        for continuations in calls:
            assert model.score("a b", continuations) == ScriptedModel().score("a b", continuations)
        asked = [text for call in wrapped.history for text in call.continuations]
        assert len(asked) == len(set(asked)) == len(cache)
        cache.close()

    def test_threads_that_ask_at_once_get_the_same(self, cache: ModelCallCache) -> None:
        model = CachedModel(ScriptedModel(), cache)
        expected = ScriptedModel().score("a fox", [" fox", " owl"])
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: model.score("a fox", [" fox", " owl"]), range(64)))
        assert found == [expected] * 64
        assert len(cache) == 2


class TogetherModel(ScriptedModel):
    """Scores several prefixes in one call, and remembers which."""

    def __init__(self) -> None:
        super().__init__()
        self.together: list[tuple[tuple[str, ...], tuple[str, ...]]] = []

    def score_prefixes(
        self,
        prefixes: Sequence[str],
        continuations: Sequence[str],
        *,
        cancellation: Cancellation | None = None,
    ) -> list[list[Score]]:
        if cancellation is not None:
            cancellation.check()
        self.together.append((tuple(prefixes), tuple(continuations)))
        return [self.score(prefix, continuations) for prefix in prefixes]


class TestScorePrefixes:
    def test_prefixes_that_lack_the_same_are_asked_for_together(self, cache: ModelCallCache) -> None:
        wrapped = TogetherModel()
        model = CachedModel(wrapped, cache)
        model.score("a", [" x"])
        model.score("b", [" x"])
        model.score("c", [" x", " y"])
        wrapped.together.clear()
        prefixes, continuations = ["a", "d", "c", "b", "e", "a"], [" x", " y", " x"]
        found = model.score_prefixes(prefixes, continuations)
        assert wrapped.together == [(("a", "b"), (" y",)), (("d", "e"), (" x", " y"))]
        assert found == [ScriptedModel().score(prefix, continuations) for prefix in prefixes]
        assert model.usage.cached_calls == 1
        assert model.score_prefixes(prefixes, continuations) == found
        assert len(wrapped.together) == 2
        assert model.usage.cached_calls == 1 + len(prefixes)
        assert len(cache) == 10

    def test_what_was_scored_before_a_cancellation_is_kept(self, cache: ModelCallCache) -> None:
        cancellation = Cancellation()

        class ImpatientModel(TogetherModel):
            def score(self, *args: Any, **options: Any) -> list[Score]:
                cancellation.cancel()
                return super().score(*args, **options)

        CachedModel(ScriptedModel(fingerprint="same"), cache).score("a", [" x"])
        wrapped = ImpatientModel()
        wrapped._fingerprint = "same"
        model = CachedModel(wrapped, cache)
        with pytest.raises(CallCancelledError):
            model.score_prefixes(["a", "b"], [" x", " y"], cancellation=cancellation)
        assert wrapped.together == [(("a",), (" y",))]
        assert len(cache) == 2

    @given(
        st.lists(
            st.tuples(
                st.lists(st.sampled_from(["a", "b", "", "电"]), max_size=4),
                st.lists(st.sampled_from([" a", " b", "", " 电影"]), max_size=4),
            ),
            max_size=5,
        ),
        st.sampled_from([ScriptedModel, TogetherModel]),
    )
    def test_scores_are_those_of_the_model_and_asked_for_once(
        self, calls: list[tuple[list[str], list[str]]], kind: type[ScriptedModel]
    ) -> None:
        cache = ModelCallCache()
        wrapped = kind()
        model = CachedModel(wrapped, cache)
        for prefixes, continuations in calls:
            assert model.score_prefixes(prefixes, continuations) == [
                ScriptedModel().score(prefix, continuations) for prefix in prefixes
            ]
        asked = [(call.prefix, text) for call in wrapped.history for text in call.continuations]
        assert len(asked) == len(set(asked)) == len(cache)
        cache.close()


class TestFile:
    def test_answers_outlive_the_process(self, tmp_path: Path) -> None:
        path = tmp_path / "calls.sqlite3"
        program = (
            "import sys\nfrom pathlib import Path\n"
            "from llmrec.llm.cache import CachedModel, ModelCallCache\n"
            "from llmrec.llm.scripted import ScriptedModel\n"
            "model = CachedModel(ScriptedModel(fingerprint='a', scores={' fox': -1.25}), "
            "ModelCallCache(Path(sys.argv[1])))\n"
            "assert model.score('a', [' fox'])[0].logprob == -1.25\n"
        )
        subprocess.run([sys.executable, "-W", "ignore", "-c", program, str(path)], check=True)
        cache = ModelCallCache(path)
        wrapped = ScriptedModel(fingerprint="a")
        assert CachedModel(wrapped, cache).score("a", [" fox"])[0].logprob == -1.25
        assert wrapped.history == []
        cache.close()

    def test_two_open_files_share_answers(self, tmp_path: Path) -> None:
        first, second = ModelCallCache(tmp_path / "calls"), ModelCallCache(tmp_path / "calls")
        CachedModel(ScriptedModel("red", fingerprint="a"), first).generate(QUESTION)
        assert CachedModel(ScriptedModel(fingerprint="a"), second).generate(QUESTION).text == "red"
        second.clear()
        assert len(first) == 0
        first.close()
        second.close()

    def test_questions_are_not_stored_but_their_prompt_is_named(self, tmp_path: Path) -> None:
        path = tmp_path / "calls.sqlite3"
        cache = ModelCallCache(path)
        model = CachedModel(ScriptedModel("red", name="tiny"), cache)
        with naming_prompt("abc123"):
            model.generate([Message(role="user", content="my private diary")])
        model.score("my private diary", [" and letters"])
        rows = sqlite3_rows(path, "SELECT kind, model, prompt_id FROM model_calls ORDER BY kind")
        assert rows == [("generate", "tiny", "abc123"), ("score", "tiny", "")]
        assert all(len(key) == 64 for (key,) in sqlite3_rows(path, "SELECT key FROM model_calls"))
        cache.close()
        assert all(b"private" not in file.read_bytes() for file in tmp_path.iterdir())

    def test_an_answer_that_cannot_be_read_is_asked_for_again(self, tmp_path: Path) -> None:
        path = tmp_path / "calls.sqlite3"
        cache = ModelCallCache(path)
        model = CachedModel(ScriptedModel("red", "blue"), cache)
        model.generate(QUESTION)
        sqlite3_rows(path, "UPDATE model_calls SET answer = '{\"text\": 3'")
        assert model.generate(QUESTION).text == "blue"
        assert model.generate(QUESTION).text == "blue"
        cache.close()

    def test_a_file_that_is_no_database(self, tmp_path: Path) -> None:
        path = tmp_path / "calls.sqlite3"
        path.write_text("these are my holiday notes, " * 100)
        with pytest.raises(StoreError, match="delete the file, or choose another one"):
            ModelCallCache(path)
        assert path.read_text().startswith("these are my holiday notes")

    def test_a_folder_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("x")
        with pytest.raises(StoreError, match="cannot be used"):
            ModelCallCache(tmp_path / "file" / "calls.sqlite3")

    def test_a_file_that_another_holds(self, tmp_path: Path) -> None:
        path = tmp_path / "calls.sqlite3"
        ModelCallCache(path).close()
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        try:
            with pytest.raises(StoreError, match="close what else holds it"):
                ModelCallCache(path, busy_seconds=0.05)
        finally:
            holder.close()

    def test_a_damaged_file_is_reported_on_use(self, tmp_path: Path) -> None:
        path = tmp_path / "calls.sqlite3"
        cache = ModelCallCache(path)
        model = CachedModel(ScriptedModel(), cache)
        model.score("a", [f" {number}" for number in range(300)])
        cache.close()
        content = bytearray(path.read_bytes())
        content[4096:] = b"\xff" * (len(content) - 4096)
        path.write_bytes(content)
        damaged = ModelCallCache(path)
        with pytest.raises(StoreError, match="delete the file"):
            CachedModel(model.wrapped, damaged).score("a", [" 1"])
        damaged.close()

    def test_a_full_disk_costs_only_the_memory(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        cache = ModelCallCache(tmp_path / "calls.sqlite3")
        (pages,) = cache._connection.execute("PRAGMA page_count").fetchone()
        cache._connection.execute(f"PRAGMA max_page_count = {pages}")
        model = CachedModel(ScriptedModel(*["long answer " * 100] * 20), cache)
        for seed in range(20):
            assert model.generate(QUESTION, seed=seed, max_tokens=1000).text == "long answer " * 100
        warnings = [record for record in caplog.records if record.levelname == "WARNING"]
        assert len(warnings) == 1
        assert "full" in warnings[0].getMessage()
        cache._connection.execute("PRAGMA max_page_count = 10000")
        model.score("a", [" b"])
        asked = len(model.wrapped.history)
        model.score("a", [" b"])
        assert len(model.wrapped.history) == asked
        cache.close()

    @pytest.mark.parametrize(
        ("above", "left", "kept"), [(10, 4, 10), (9, 4, 4), (9, 9, 9), (0, 0, 0), (5, 20, 10)]
    )
    def test_the_oldest_are_removed_when_there_are_too_many(
        self,
        cache: ModelCallCache,
        monkeypatch: pytest.MonkeyPatch,
        above: int,
        left: int,
        kept: int,
    ) -> None:
        # Stored in another order than their keys have.
        keys = [str(number * 7 % 10) for number in range(10)]
        for second, key in enumerate(keys):
            monkeypatch.setattr("time.time", lambda second=second: 1000.0 + second)
            cache.store({key: "{}"}, kind="score", model="m")
        assert cache.remove_oldest(above=above, left=left) == 10 - kept
        assert set(cache.find(keys)) == set(keys[10 - kept :])
        assert len(cache) == kept
        assert cache.remove_oldest(above=above, left=left) == 0

    def test_a_closed_file_cannot_be_shortened(self, tmp_path: Path) -> None:
        closed = ModelCallCache(tmp_path / "calls.sqlite3")
        closed.close()
        with pytest.raises(StoreError):
            closed.remove_oldest(above=0, left=0)

    def test_in_memory_by_default(self) -> None:
        cache = ModelCallCache()
        model = CachedModel(ScriptedModel("red"), cache)
        assert model.generate(QUESTION).text == model.generate(QUESTION).text
        assert len(cache) == 1
        cache.clear()
        assert len(cache) == 0
        cache.close()
        cache.close()
        with pytest.raises(StoreError):
            cache.find(["a"])


def test_a_closed_model_does_not_answer_from_the_cache(cache: ModelCallCache) -> None:
    model = CachedModel(ScriptedModel("red"), cache)
    model.generate(QUESTION)
    model.close()
    with pytest.raises(ModelError, match="was closed"):
        model.generate(QUESTION)
    assert len(cache) == 1


class ReadingModel(ScriptedModel):
    """Says that it has read three texts."""

    def forget_prefixes(self) -> int:
        return 3


def test_what_a_wrapped_model_has_read_can_be_forgotten(cache: ModelCallCache) -> None:
    assert forget_prefixes(ScriptedModel()) == 0
    assert forget_prefixes(CachedModel(ScriptedModel(), cache)) == 0
    assert forget_prefixes(ReadingModel()) == 3
    assert forget_prefixes(CachedModel(CachedModel(ReadingModel(), cache), cache)) == 3


def sqlite3_rows(path: Path, statement: str) -> list[tuple[object, ...]]:
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()
