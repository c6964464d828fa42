"""What counts as a trace of something that was deleted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.behavior.events import Event
from llmrec.errors import StoreError
from llmrec.llm.cache import naming_person
from llmrec.store import Store
from llmrec.store.traces import Strings, hold_any, strings_of

VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=4)),
    lambda below: st.one_of(
        st.lists(below, max_size=3), st.dictionaries(st.text(max_size=4), below, max_size=3)
    ),
    max_leaves=10,
)


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store.db" if request.param == "file" else None)
    store.save_events(
        [
            Event(user_id="ana", action="say", text='quiet "rain" films, 雨夜里看的电影', id="e1"),
            Event(user_id="ana", action="rate", item_id="i1", value=5, id="e2"),
            Event(user_id="bob", action="say", text="loud films", id="e3"),
        ]
    )
    with naming_person("ana"):
        answer = {"text": json.dumps({"interests": [{"label": "雨夜"}, {"label": "Rainy evenings"}]})}
        store.model_calls.store({"k1": json.dumps(answer)}, kind="generate", model="m")
    yield store
    store.close()


class TestTraces:
    @pytest.mark.parametrize(
        ("text", "tables"),
        [
            ("e1", ["events"]),
            ("i1", ["events"]),
            ("e3", []),
            ("loud films", []),
            ('quiet "rain" films, 雨夜里看的电影', ["events"]),
            ('"rain" films', ["events"]),
            ("雨夜里看的电影的", []),
            ("雨夜", ["model_calls"]),
            ("Rainy evenings", ["model_calls"]),
            ("Rainy", []),
            ("e", []),
            ("", []),
        ],
    )
    def test_ids_are_whole_and_longer_texts_may_be_a_part(
        self, store: Store, text: str, tables: list[str]
    ) -> None:
        assert store.traces("ana", ["none of this", text]) == tables

    def test_the_persons_own_name_is_everywhere(self, store: Store) -> None:
        tables = store.traces("ana", ["ana"])
        assert tables[0] == "events"
        assert store.traces("ana", []) == []
        assert store.traces("nobody", ["nobody", "e1"]) == []

    def test_a_name_is_found_beside_answers(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "other.db")
        with naming_person("ana"):
            store.model_calls.store({"k1": "{}"}, kind="generate", model="m")
        assert store.traces("ana", ["ana"]) == ["model_call_people"]
        assert store.traces("bob", ["bob"]) == []
        store.close()


class TestFileTraces:
    def test_the_bytes_of_both_files_are_searched(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "store.db")
        store.save_events([Event(user_id="ana", action="say", text="quiet films")])
        assert store.file_traces(["quiet films"]) == ["store.db-wal"]
        assert store.file_traces(["quiet", "loud films"]) == []
        store.close()
        again = Store(tmp_path / "store.db")
        assert again.file_traces(["quiet films"]) == ["store.db"]
        again.close()

    def test_memory_has_no_file(self) -> None:
        store = Store()
        store.save_events([Event(user_id="ana", action="say", text="quiet films")])
        assert store.file_traces(["quiet films"]) == []
        store.close()

    def test_a_search_that_fails_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        store = Store(tmp_path / "store.db")
        monkeypatch.setattr("sys.executable", "")
        with pytest.raises(StoreError, match="cannot be searched"):
            store.file_traces(["quiet films"])
        store.close()


class TestStrings:
    @given(VALUES)
    def test_every_string_and_key_is_there_and_nothing_else(self, value: object) -> None:
        def read(value: object) -> list[str]:
            if isinstance(value, str):
                return [value]
            if isinstance(value, list):
                return [text for below in value for text in read(below)]
            if isinstance(value, dict):
                return [*value, *(text for below in value.values() for text in read(below))]
            return []

        assert sorted(strings_of(value)) == sorted(read(value))
        assert all(Strings([json.dumps(value)]).hold(text) for text in read(value))

    def test_what_stands_under_a_key_can_be_left_out(self) -> None:
        value = {"a": ["x", {"item": {"b": "y"}}], "item": "z", "c": "w"}
        assert set(strings_of(value, without=frozenset({"item"}))) == {"a", "x", "item", "c", "w"}

    def test_a_record_that_is_no_json_is_a_string_itself(self) -> None:
        assert hold_any(["{not JSON, quiet films"], ["quiet films"])
        assert not hold_any(["{not JSON, quiet films"], ["quiet"])
        assert not hold_any([], ["quiet films"])
