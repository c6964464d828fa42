"""Items, events, the catalogue, and times."""

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from llmrec.behavior.events import (
    KNOWN_ACTIONS,
    Catalog,
    Event,
    History,
    HistoryEntry,
    Item,
    parse_timestamp,
    validate_record,
)
from llmrec.errors import InputError
from llmrec.settings import DEFAULT_ACTION_STRENGTHS


class TestParseTimestamp:
    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            (1719830000, 1719830000.0),
            ("1719830000.5", 1719830000.5),
            ("2024-07-01T10:33:20Z", 1719830000.0),
            ("2024-07-01T10:33:20", 1719830000.0),
            ("2024-07-01T18:33:20+08:00", 1719830000.0),
            (datetime(2024, 7, 1, 18, 33, 20, tzinfo=timezone(timedelta(hours=8))), 1719830000.0),
            ("2024-07-01", 1719792000.0),
            (None, None),
            ("  ", None),
        ],
    )
    def test_reads_seconds_and_iso_8601(self, value, seconds):
        assert parse_timestamp(value) == seconds

    @pytest.mark.parametrize(
        "value", [0, -1, 1719830000000, "yesterday", "nan", float("inf"), True, "1850-01-01", {"s": 1}]
    )
    def test_refuses_what_is_no_time(self, value):
        with pytest.raises(ValueError):
            parse_timestamp(value)

    @settings(deadline=None)
    @given(st.datetimes(datetime(2000, 1, 2), datetime(2099, 12, 30)))  # noqa: DTZ001
    def test_reads_back_any_written_time(self, moment):
        aware = moment.replace(tzinfo=timezone.utc)
        assert parse_timestamp(aware.isoformat()) == pytest.approx(aware.timestamp(), abs=1e-5)


class TestItem:
    def test_needs_only_id_and_title(self):
        item = Item(id=7, title="Dune", categories="Science fiction", attributes={"year": 1965, "isbn": None})
        assert item.id == "7"
        assert item.categories == ("Science fiction",)
        assert item.attributes == {"year": "1965"}

    @pytest.mark.parametrize("record", [{"id": "", "title": "x"}, {"id": "a", "title": " \n"}, {"id": "a"}])
    def test_refuses_an_item_without_a_name(self, record):
        with pytest.raises(ValidationError):
            Item.model_validate(record)


class TestEvent:
    def test_equal_events_have_equal_ids_and_different_ones_do_not(self):
        first = Event(user_id="ana", item_id="a", action="view", timestamp=1719830000)
        same = Event(user_id="ana", item_id="a", action="view", timestamp="2024-07-01T10:33:20Z")
        other = Event(user_id="ana", item_id="a", action="view", timestamp=1719830001)
        assert first.id == same.id
        assert first.id != other.id
        assert Event(id="mine", user_id="ana", text="hi", action="say").id == "mine"

    @pytest.mark.parametrize(
        "fields",
        [
            {"user_id": "ana", "action": "view"},
            {"user_id": "ana", "action": "say", "text": "  "},
            {"user_id": "", "action": "view", "item_id": "a"},
            {"user_id": "ana", "action": "", "item_id": "a"},
            {"user_id": "ana", "action": "rate", "item_id": "a", "value": "inf"},
            {"user_id": "ana", "action": "rate", "item_id": "a", "timestamp": "soon"},
            {"user_id": "ana", "action": "rate", "item_id": "a", "mood": "good"},
        ],
    )
    def test_refuses_what_says_nothing(self, fields):
        with pytest.raises(InputError, match=r"^row 3: .") as caught:
            validate_record(Event, fields, "row 3")
        assert "\n" not in str(caught.value)
        assert "pydantic" not in str(caught.value)

    def test_every_known_action_has_a_strength(self):
        assert set(KNOWN_ACTIONS) == set(DEFAULT_ACTION_STRENGTHS)


class TestCatalog:
    def test_keeps_the_order_and_merges_equal_items(self):
        catalog = Catalog([{"id": "b", "title": "B"}, Item(id="a", title="A"), {"id": "b", "title": "B"}])
        assert list(catalog) == ["b", "a"]
        assert [item.title for item in catalog.items_in_order] == ["B", "A"]
        assert len(catalog) == 2
        assert "x" not in catalog

    def test_refuses_two_items_of_one_id_and_invalid_items(self):
        with pytest.raises(InputError, match="share the id 'a'"):
            Catalog([Item(id="a", title="A"), Item(id="a", title="B")])
        with pytest.raises(InputError, match="item 2"):
            Catalog([{"id": "a", "title": "A"}, {"id": "b"}])

    def test_fingerprint_follows_the_contents(self):
        one, same = Catalog([Item(id="a", title="A")]), Catalog([Item(id="a", title="A")])
        other = Catalog([Item(id="a", title="A", description="x")])
        assert one.fingerprint == same.fingerprint != other.fingerprint


def test_history_is_a_sequence_of_weighted_entries():
    film = Item(id="a", title="Alien")
    entries = [
        HistoryEntry(
            event=Event(user_id="ana", item_id="a", action="like"), item=film, strength=1.0, decay=0.5
        ),
        HistoryEntry(event=Event(user_id="ana", text="space", action="say"), strength=-0.5, decay=1.0),
    ]
    history = History("ana", entries)
    assert [entry.weight for entry in history] == [0.5, -0.5]
    assert [entry.title for entry in history] == ["Alien", "space"]
    assert history.item_ids == {"a"}
    assert len(history) == 2
    assert history[-1].title == "space"
