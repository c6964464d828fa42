"""A folder of JSON lines: items, people with what was held out, and interactions."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmrec.errors import InputError
from llmrec.evaluation.datasets import read_dataset
from tests.evaluation.made_datasets import BEGIN, shop, write_lines

ITEMS = [
    {"id": "1", "title": "Toy Story (1995)", "genres": ["Comedy"], "tags": ["", *"abcdefgh", "Comedy", "i"]},
    {"id": 2, "title": " ", "genres": ["(no genres listed)"], "brand": "茶", "year": 1999},
    {"id": "3", "title": "A\tpot\u202e", "domain": "kitchen", "categories": "Tea|Pots"},
]


def folder_of(tmp_path, dev=None, interactions=None, items=ITEMS):
    write_lines(tmp_path / "items.jsonl", items)
    if dev is not None:
        write_lines(tmp_path / "dev.jsonl", dev)
    if interactions is not None:
        write_lines(tmp_path / "interactions.jsonl", interactions)
    return tmp_path


class TestItems:
    def test_genres_and_the_first_tags_become_categories(self, tmp_path):
        data = read_dataset(
            folder_of(tmp_path, [{"user": "u", "history": ["1"], "target": "3"}]), domain="films"
        )
        assert data.catalog["1"].categories == ("Comedy", *"abcdefgh")
        assert data.catalog["2"].categories == ()
        assert data.catalog["3"].categories == ("Tea", "Pots")
        assert [item.domain for item in data.catalog.values()] == ["films", "films", "kitchen"]

    def test_titles_and_other_facts(self, tmp_path):
        data = read_dataset(folder_of(tmp_path, [{"user": "u", "history": ["1"], "target": "3"}]))
        assert data.catalog["2"].title == "untitled"
        assert data.catalog["2"].attributes == {"brand": "茶", "year": "1999"}
        assert data.catalog["3"].title == "A pot"


class TestPeople:
    def test_bare_ids_are_purchases_and_objects_with_a_rating_ratings(self, tmp_path):
        history = [
            "1",
            2,
            {"item": "3", "rating": 4.5, "timestamp": BEGIN},
            {"item_id": "1", "action": "view"},
        ]
        data = read_dataset(folder_of(tmp_path, [{"user": 7, "history": history}]))
        found = [(e.action, e.item_id, e.value, e.timestamp) for e in data.people["7"]]
        assert found == [
            ("purchase", "1", None, None),
            ("purchase", "2", None, None),
            ("rate", "3", 4.5, BEGIN),
            ("view", "1", None, None),
        ]
        assert len({e.id for e in data.people["7"]}) == 4
        assert data.given == {}

    def test_given_targets_and_negatives(self, tmp_path):
        row = {"user": "u", "history": ["1"], "target": "2", "random_negatives": ["3"], "my_negatives": [1]}
        case = read_dataset(folder_of(tmp_path, [row])).given["u"]
        assert case.targets == ("2",)
        assert case.negatives == {"random_negatives": ("3",), "my_negatives": ("1",)}
        row = {"user": "u", "history": [], "targets": ["2", "3", "2"]}
        assert read_dataset(folder_of(tmp_path, [row])).given["u"].targets == ("2", "3")

    @pytest.mark.parametrize(
        ("history", "ids"), [("target", ["3"]), ("source", ["1", "2"]), ("both", ["1", "2", "3"])]
    )
    def test_two_domains(self, tmp_path, history, ids):
        row = {"user": "u", "source_history": ["1", "2"], "target_history": ["3"], "target": "2"}
        data = read_dataset(folder_of(tmp_path, [row]), history=history)
        assert [e.item_id for e in data.people["u"]] == ids

    def test_events_on_unknown_items_are_left_out_with_a_note(self, tmp_path):
        data = read_dataset(
            folder_of(tmp_path, [{"user": "u", "history": ["1", "gone", "9"], "target": "2"}])
        )
        assert [e.item_id for e in data.people["u"]] == ["1"]
        assert data.notes == ("events on items that are not in the catalogue were left out: 2",)


class TestLog:
    def test_a_target_that_stands_in_the_interactions_is_taken_out_of_the_persons_row(self, tmp_path):
        dev = [{"user": "u", "history": ["1"], "target": "2"}]
        rows = [{"user": "u", "items": ["1", "2"]}, {"user": "v", "items": ["2", "3"]}]
        data = read_dataset(folder_of(tmp_path, dev, rows))
        assert data.log is not None
        assert data.log.sequences == {"u": ("1",), "v": ("2", "3")}

    def test_interactions_alone_are_people(self, tmp_path):
        data = read_dataset(folder_of(tmp_path, None, [{"user": "v", "items": ["2", "3", "2"]}]))
        assert [e.item_id for e in data.people["v"]] == ["2", "3", "2"]
        assert data.log is None


@pytest.mark.parametrize(
    ("dev", "sentence"),
    [
        ('{"user": "u"', "line 1 is not JSON: write one object a line"),
        ("[1]", "line 1 is JSON, but not an object"),
        ('{"history": ["1"]}', "line 1: it names no user"),
        ('{"user": "u", "history": "1"}', "line 1: it has no list history"),
        ('{"user": "u", "target_history": ["1"], "target": 1.5}', "its target is not an id"),
        ('{"user": "u", "history": [{"item": "1", "rating": "good"}]}', "line 1, event 1: value"),
        ('{"user": "u", "history": [[]]}', "line 1, event 1: item_id"),
        (
            '{"user": "u", "history": ["1"], "target": "secret"}',
            "an item of its target is not in items.jsonl",
        ),
        (
            '{"user": "u", "history": ["1"], "target": "2", "n_negatives": ["9"]}',
            "an item of its n_negatives",
        ),
        ('{"user": "u", "history": []}\n{"user": "u", "history": []}', "line 2: 'u' stands there twice"),
        ('{"user": "u", "history": ["9"]}', "holds no events on items"),
        ("", "holds no events on items"),
    ],
)
def test_malformed_people(tmp_path, dev, sentence):
    folder = folder_of(tmp_path)
    (folder / "dev.jsonl").write_text(dev, "utf-8")
    with pytest.raises(InputError) as raised:
        read_dataset(folder)
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("item", "sentence"),
    [
        ({"title": "A"}, "it has no id"),
        ({"id": "1", "title": "A", "genres": [1]}, "its genres are not a list of texts"),
        ({"id": "1", "title": "A", "attributes": [1]}, "its attributes are not an object"),
        ({"id": "1", "title": ["A"]}, "title"),
    ],
)
def test_malformed_items(tmp_path, item, sentence):
    with pytest.raises(InputError, match=sentence):
        read_dataset(folder_of(tmp_path, [{"user": "u", "history": []}], items=[item]))


def test_missing_and_unreadable_files(tmp_path):
    write_lines(tmp_path / "items.jsonl", ITEMS)
    with pytest.raises(InputError, match=r"holds neither dev\.jsonl nor interactions\.jsonl"):
        read_dataset(tmp_path)
    (tmp_path / "dev.jsonl").write_bytes(b'{"user": "\xff"}')
    with pytest.raises(InputError, match="line 1 is not UTF-8 text"):
        read_dataset(tmp_path)
    (tmp_path / "items.jsonl").unlink()
    with pytest.raises(InputError, match=r"there is no file .*items\.jsonl"):
        read_dataset(tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 5) | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.sampled_from(
    ["user", "history", "target", "targets", "a_negatives", "id", "title", "tags", "items"]
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(FIELDS, JSON), st.sampled_from(["items", "dev", "interactions"]))
def test_no_record_raises_anything_but_an_input_error(tmp_path_factory, record, name):
    folder = shop(tmp_path_factory.mktemp("shop"), people=2, items=20)
    path = folder / f"{name}.jsonl"
    path.write_text(path.read_text("utf-8") + json.dumps(record) + "\n", "utf-8")
    try:
        data = read_dataset(folder)
    except InputError:
        return
    assert {"u0", "u1"} <= set(data.people)
