"""Whose an answer is: noted when it is stored or found, and forgotten with the person."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.errors import StoreError
from llmrec.llm.cache import CachedModel, ModelCallCache, naming_person, naming_prompt
from llmrec.llm.model_calls import KEYS_PER_QUERY, forget_answers
from llmrec.llm.scripted import ScriptedModel
from tests.llm.test_cache import QUESTION, sqlite3_rows

PEOPLE = ("", "ana", "bob", "小雨")

# As llmrec made the file before answers knew whose they are.
OLD_TABLE = """
CREATE TABLE model_calls (
    key TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    model TEXT NOT NULL,
    prompt_id TEXT NOT NULL,
    answer TEXT NOT NULL,
    created REAL NOT NULL
) WITHOUT ROWID
"""


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[ModelCallCache]:
    cache = ModelCallCache(tmp_path / "calls.sqlite3", busy_seconds=0.1)
    yield cache
    cache.close()


def store(cache: ModelCallCache, person: str, *keys: str) -> None:
    with naming_person(person):
        cache.store({key: f'"{key}"' for key in keys}, kind="score", model="m")


def find(cache: ModelCallCache, person: str, *keys: str) -> set[str]:
    with naming_person(person):
        return set(cache.find(keys))


def notes(cache: ModelCallCache) -> set[tuple[str, str]]:
    return set(cache._connection.execute("SELECT key, user_id FROM model_call_people").fetchall())


class TestForgetPerson:
    def test_what_only_one_person_caused_goes(self, cache: ModelCallCache) -> None:
        store(cache, "ana", "own", "shared")
        store(cache, "bob", "bobs")
        store(cache, "", "neutral")
        assert find(cache, "bob", "shared", "neutral") == {"shared", "neutral"}
        assert cache.forget_person("ana") == 1
        assert set(cache.find(["own", "shared", "bobs", "neutral"])) == {"shared", "bobs", "neutral"}
        assert notes(cache) == {("shared", "bob"), ("bobs", "bob"), ("neutral", "bob")}
        assert cache.forget_person("ana") == 0
        assert cache.forget_person("bob") == 3
        assert len(cache) == 0

    def test_answers_that_nobody_was_named_for_go_only_when_asked(self, cache: ModelCallCache) -> None:
        store(cache, "", "neutral")
        store(cache, "ana", "own")
        store(cache, "bob", "bobs")
        assert cache.forget_person("ana") == 1
        assert len(cache) == 2
        assert cache.forget_person("ana", unattributed=True) == 1
        assert set(cache.find(["neutral", "own", "bobs"])) == {"bobs"}

    def test_a_model_that_is_asked_for_a_person_asks_again_afterwards(self, cache: ModelCallCache) -> None:
        model = CachedModel(ScriptedModel("red", "blue"), cache)
        with naming_person("ana"):
            assert model.generate(QUESTION).text == "red"
            model.score("a fox", [" fox", " owl"])
        assert model.generate(QUESTION).text == "red"
        assert cache.answers_of("ana") != []
        assert cache.forget_person("ana") == 3
        assert cache.answers_of("ana") == []
        assert model.generate(QUESTION).text == "blue"

    def test_an_answer_found_for_another_is_kept_for_the_other(self, cache: ModelCallCache) -> None:
        model = CachedModel(ScriptedModel("red", "blue"), cache)
        for person in ("ana", "bob"):
            with naming_person(person):
                model.generate(QUESTION)
        cache.forget_person("ana")
        assert model.generate(QUESTION).text == "red"
        cache.forget_person("bob")
        assert model.generate(QUESTION).text == "blue"

    def test_all_of_it_goes_or_nothing(self, cache: ModelCallCache) -> None:
        store(cache, "ana", "one", "two")
        cache._connection.execute(
            "CREATE TRIGGER stop BEFORE DELETE ON model_call_people BEGIN SELECT RAISE(ABORT, 'stop'); END"
        )
        with pytest.raises(StoreError, match="stop"):
            cache.forget_person("ana")
        cache._connection.execute("DROP TRIGGER stop")
        assert len(cache) == 2
        assert cache.forget_person("ana") == 2

    def test_it_may_be_a_part_of_a_larger_transaction(self, cache: ModelCallCache) -> None:
        store(cache, "ana", "one", "two")
        connection = cache._connection
        connection.execute("BEGIN IMMEDIATE")
        assert forget_answers(connection, "ana") == 2
        connection.execute("ROLLBACK")
        assert len(cache) == 2

    @given(
        st.lists(
            st.one_of(
                st.tuples(
                    st.sampled_from(["store", "find"]),
                    st.sampled_from(PEOPLE),
                    st.lists(st.sampled_from("abcdef"), max_size=4),
                ),
                st.tuples(
                    st.sampled_from(["forget", "forget with others"]),
                    st.sampled_from(PEOPLE[1:]),
                    st.just([]),
                ),
                st.tuples(st.just("shorten"), st.just(""), st.just([])),
            ),
            max_size=20,
        )
    )
    def test_it_is_what_a_table_of_owners_says(self, steps: list[tuple[str, str, list[str]]]) -> None:
        with contextlib.closing(ModelCallCache()) as cache:
            owners: dict[str, set[str]] = {}
            for step, person, keys in steps:
                if step == "store":
                    store(cache, person, *keys)
                    for key in keys:
                        owners.setdefault(key, set()).update({person} - {""})
                elif step == "find":
                    assert find(cache, person, *keys) == owners.keys() & set(keys)
                    for key in owners.keys() & set(keys):
                        owners[key].update({person} - {""})
                elif step == "shorten":
                    cache.remove_oldest(above=2, left=1)
                    owners = {key: who for key, who in owners.items() if key in cache.find(list(owners))}
                else:
                    gone = {key for key, who in owners.items() if who == {person}}
                    others = step == "forget with others"
                    left = {key: who - {person} for key, who in owners.items() if key not in gone}
                    gone |= {key for key, who in left.items() if others and not who}
                    assert cache.forget_person(person, unattributed=others) == len(gone)
                    owners = {key: who for key, who in left.items() if key not in gone}
                assert set(cache.find(list("abcdef"))) == set(owners)
                assert notes(cache) == {(key, person) for key, who in owners.items() for person in who}


class TestNotes:
    def test_more_keys_than_one_query_takes(self, cache: ModelCallCache) -> None:
        keys = [str(number) for number in range(2 * KEYS_PER_QUERY + 1)]
        store(cache, "ana", *keys)
        assert find(cache, "bob", *keys, "none") == set(keys)
        assert cache.forget_person("ana") == 0
        assert cache.forget_person("bob") == len(keys)

    def test_only_what_is_not_yet_noted_is_written(self, cache: ModelCallCache) -> None:
        store(cache, "ana", "a", "b")
        before = cache._connection.total_changes
        assert find(cache, "ana", "a", "b") == {"a", "b"}
        assert find(cache, "", "a", "b") == {"a", "b"}
        assert cache._connection.total_changes == before
        assert find(cache, "bob", "a", "b", "c") == {"a", "b"}
        assert cache._connection.total_changes == before + 2

    def test_names_may_be_nested_and_end(self, cache: ModelCallCache) -> None:
        with naming_person("ana"):
            with naming_person("bob"), naming_prompt("p"):
                cache.store({"inner": "1"}, kind="score", model="m")
            cache.store({"outer": "1"}, kind="score", model="m")
            with naming_person(""):
                cache.store({"neutral": "1"}, kind="score", model="m")
        cache.store({"after": "1"}, kind="score", model="m")
        assert notes(cache) == {("inner", "bob"), ("outer", "ana")}

    def test_they_are_of_the_thread_that_named(self, cache: ModelCallCache) -> None:
        with naming_person("ana"):
            thread = threading.Thread(target=store, args=(cache, "bob", "b"))
            thread.start()
            thread.join()
            other = threading.Thread(
                target=cache.store, args=({"x": "1"},), kwargs={"kind": "score", "model": "m"}
            )
            other.start()
            other.join()
        assert notes(cache) == {("b", "bob")}

    def test_an_answer_replaced_keeps_them(self, cache: ModelCallCache) -> None:
        store(cache, "ana", "a")
        store(cache, "bob", "a")
        assert notes(cache) == {("a", "ana"), ("a", "bob")}

    def test_answers_about_nobody_are_nobodys(self, tmp_path: Path) -> None:
        with contextlib.closing(ModelCallCache(tmp_path / "priors", notes_people=False)) as cache:
            store(cache, "ana", "a")
            assert find(cache, "ana", "a") == {"a"}
            assert notes(cache) == set()
        assert all(b"ana" not in file.read_bytes() for file in tmp_path.iterdir())

    def test_shortening_and_clearing_leave_no_name(self, cache: ModelCallCache) -> None:
        store(cache, "ana", *"abcdef")
        assert cache.remove_oldest(above=4, left=2) == 4
        assert {key for key, _ in notes(cache)} == set(cache.find(list("abcdef")))
        cache.clear()
        assert notes(cache) == set()

    def test_what_hinders_a_note_costs_a_warning(
        self, cache: ModelCallCache, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        store(cache, "ana", "a")
        holder = sqlite3.connect(tmp_path / "calls.sqlite3", isolation_level=None)
        holder.execute("BEGIN IMMEDIATE")
        try:
            for _ in range(2):
                assert find(cache, "bob", "a") == {"a"}
        finally:
            holder.close()
        (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
        assert "whose answers they are is no longer kept" in warning.getMessage()
        assert find(cache, "bob", "a") == {"a"}
        assert notes(cache) == {("a", "ana"), ("a", "bob")}

    def test_a_name_that_cannot_be_written_leaves_the_file_usable(self, cache: ModelCallCache) -> None:
        with pytest.raises(UnicodeEncodeError):
            store(cache, "half \ud83d", "a")
        assert len(cache) == 0
        store(cache, "ana", "a")
        assert notes(cache) == {("a", "ana")}


class TestOldFiles:
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        path = tmp_path / "old.sqlite3"
        with contextlib.closing(sqlite3.connect(path)) as connection:
            connection.execute(OLD_TABLE)
            rows = [(key, "score", "m", "p", f'"{key}"', 1.0) for key in ("a", "b")]
            connection.executemany("INSERT INTO model_calls VALUES (?,?,?,?,?,?)", rows)
            connection.commit()
        return path

    def test_they_open_and_their_answers_are_nobodys(self, path: Path) -> None:
        with contextlib.closing(ModelCallCache(path)) as cache:
            assert set(cache.find(["a", "b"])) == {"a", "b"}
            assert cache.forget_person("ana") == 0
            assert len(cache) == 2

    def test_what_is_found_from_then_on_is_noted(self, path: Path) -> None:
        with contextlib.closing(ModelCallCache(path)) as cache:
            assert find(cache, "ana", "a") == {"a"}
            assert cache.forget_person("ana") == 1
            assert set(cache.find(["a", "b"])) == {"b"}

    def test_those_that_nobody_claims_can_be_forgotten_too(self, path: Path) -> None:
        with contextlib.closing(ModelCallCache(path)) as cache:
            find(cache, "bob", "a")
            assert cache.forget_person("ana", unattributed=True) == 1
            assert set(cache.find(["a", "b"])) == {"a"}


def test_deleted_answers_are_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite3"
    with contextlib.closing(ModelCallCache(path)) as cache:
        with naming_person("ana"):
            cache.store(
                {f"key {number}": f'"my private diary {number}"' for number in range(200)},
                kind="generate",
                model="m",
            )
        cache.forget_person("ana")
        cache._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert b"diary" not in path.read_bytes()
        assert b"ana" not in path.read_bytes()
    assert sqlite3_rows(path, "SELECT count(*) FROM model_calls") == [(0,)]


def test_two_processes_worth_of_connections_forget_and_store_at_once(tmp_path: Path) -> None:
    path = tmp_path / "calls.sqlite3"
    faults: list[BaseException] = []

    def work(person: str, keys: Sequence[str]) -> None:
        try:
            with contextlib.closing(ModelCallCache(path)) as cache:
                for number in range(30):
                    store(cache, person, *(f"{key}{number}" for key in keys))
                    find(cache, person, *(f"c{number}" for _ in keys))
                    if number % 3 == 2:
                        cache.forget_person(person)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(person, ["c", person])) for person in ("ana", "bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    with contextlib.closing(ModelCallCache(path)) as cache:
        assert len(cache) == 0
        assert notes(cache) == set()
