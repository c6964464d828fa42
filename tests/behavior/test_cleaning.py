"""Cleaning: what is merged, repaired and set aside, and that nothing is lost without a note."""

import json
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec.behavior.cleaning import (
    CleaningNote,
    CleaningReport,
    clean_events,
    clean_items,
    clean_text,
    time_order,
)
from llmrec.behavior.events import Catalog, Event, Item
from llmrec.behavior.strength import build_history
from llmrec.behavior.text import printable, record_text
from llmrec.errors import InputError
from llmrec.settings import Settings

NOW = 1_719_830_000.0
SETTINGS = Settings()
CATALOG = Catalog([Item(id="a", title="Alien"), Item(id="b", title="Brazil")])


def event(action="view", item_id="a", user_id="ana", **fields):
    return Event(user_id=user_id, action=action, item_id=item_id, **fields)


def kinds(report):
    return [note.kind for note in report.notes]


def adds_up(report):
    return report.read == report.kept + len(report.of_kind("merged")) + len(report.of_kind("set_aside"))


class TestCleanText:
    @pytest.mark.parametrize(
        ("text", "cleaned"),
        [
            ("two\r\nlines\tand\u2028more\n", "two lines and more "),
            ("bell\a nul\0 escape\x1b[31m c1\x9b", "bell nul escape[31m c1"),
            ("user\u202egnp.exe\u202c \u2066x\u2069", "usergnp.exe x"),
            ("half \ud83d done", "half  done"),
            ("split \ud83d\ude00", "split 😀"),
            ("", ""),
        ],
    )
    def test_removes_what_cannot_be_seen(self, text, cleaned):
        assert clean_text(text) == cleaned

    @pytest.mark.parametrize(
        "text",
        [
            "日本語と中文",
            "family 👩\u200d👩\u200d👧 flag 🏳️\u200d🌈",
            "مرحبا بالعالم",
            "می\u200cخواهم",
            "שלום",
            "naïve",
        ],
    )
    def test_keeps_letters_of_every_script_and_emoji(self, text):
        assert clean_text(text) == text

    @settings(deadline=None)
    @given(st.text(st.characters()))
    def test_cleaning_twice_is_cleaning_once(self, text):
        once = clean_text(text)
        assert clean_text(once) == once
        assert not any(unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") for char in once)
        assert not any(
            unicodedata.bidirectional(char) in ("LRO", "RLO", "LRI", "RLI", "PDI") for char in once
        )
        once.encode("utf-8")

    @settings(deadline=None)
    @given(
        st.text(
            st.characters(categories=("L", "M", "N", "P", "S", "Zs")) | st.sampled_from("\u200d\u200c\ufe0f")
        )
    )
    def test_visible_characters_and_joiners_stay(self, text):
        assert clean_text(text) == text


class TestNoteTexts:
    def test_a_record_is_short_and_printable(self):
        shown = record_text({"text": "\x1b[2J\u202e\x9b" + "x" * 900})
        assert len(shown) == 500
        assert "\x1b" not in shown
        assert "\u202e" not in shown
        assert "\x9b" not in shown
        assert "\\u202e" in shown

    def test_a_deep_record_is_shown_somehow(self):
        deep = []
        for _ in range(100_000):
            deep = [deep]
        assert json.loads(record_text({"text": deep}))

    @settings(deadline=None)
    @given(st.text(st.characters()), st.integers(10, 50))
    def test_printable_text_can_be_written_anywhere(self, text, length):
        shown = printable(text, length)
        assert len(shown) <= length
        assert clean_text(shown) == shown


class TestTimeOrder:
    def test_undated_events_stay_behind_their_neighbours_of_the_same_person(self):
        events = [
            event(item_id="first", timestamp=None),
            event(item_id="late", timestamp=NOW + 5),
            event(item_id="bens", user_id="ben", timestamp=NOW + 1),
            event(item_id="after-late", timestamp=None),
            event(item_id="early", timestamp=NOW),
            event(item_id="after-early", timestamp=None),
            event(item_id="bens-last", user_id="ben", timestamp=NOW + 2),
        ]
        ordered = [events[index].item_id for index in time_order(events)]
        assert ordered == [
            *("early", "bens", "bens-last", "first", "late", "after-late", "after-early"),
        ]

    def test_undated_events_at_the_end_come_last_in_a_file_that_begins_with_the_newest(self):
        dated = [event(item_id=name, timestamp=time) for name, time in [("new", NOW), ("old", NOW - 9e8)]]
        said = [event("say", None, text=text) for text in ("first words", "last words")]
        assert time_order([*dated, *said]) == [1, 0, 2, 3]
        assert time_order([dated[0], said[0], dated[1], said[1]]) == [2, 0, 1, 3]
        assert time_order([dated[1], dated[0], *said]) == [0, 1, 2, 3]
        history = build_history("ana", [*dated, *said], CATALOG, SETTINGS)
        assert [entry.event for entry in history] == [dated[1], dated[0], *said]
        assert history[0].decay < 1e-3
        assert [entry.decay for entry in history[1:]] == [1, 1, 1]

    def test_without_times_the_order_stays(self):
        events = [event(item_id=name) for name in "cab"]
        assert time_order(events) == [0, 1, 2]

    @settings(deadline=None)
    @given(st.lists(st.tuples(st.sampled_from("xy"), st.none() | st.integers(0, 5))))
    def test_is_a_stable_permutation_sorted_by_time(self, drawn):
        events = [
            event(item_id=str(place), user_id=user, timestamp=None if step is None else NOW + step)
            for place, (user, step) in enumerate(drawn)
        ]
        order = time_order(events)
        assert sorted(order) == list(range(len(events)))
        dated = [(events[place].timestamp, place) for place in order if events[place].timestamp is not None]
        assert dated == sorted(dated)


class TestCleanEvents:
    def test_clean_events_pass_unchanged_and_in_order(self):
        events = [event(timestamp=NOW + 1), event(timestamp=NOW), event("say", None, text="hello")]
        cleaned, report = clean_events(events, CATALOG, SETTINGS, rows=[2, 3, 4])
        assert cleaned == [events[1], events[0], events[2]]
        assert report.rows == [3, 2, 4]
        assert report.notes == []
        assert report.summary() == "3 read, 3 kept"

    def test_equal_events_are_merged(self):
        cleaned, report = clean_events([event(), event(), event()], CATALOG, SETTINGS, rows=[5, 6, 9])
        assert cleaned == [event()]
        assert kinds(report) == ["merged", "merged"]
        assert report.notes[0].row == 6
        assert "row 5" in report.notes[0].reason

    def test_the_very_same_object_given_twice_is_merged(self):
        only = event()
        cleaned, report = clean_events([only, only], CATALOG, SETTINGS)
        assert cleaned == [only]
        assert kinds(report) == ["merged"]

    def test_a_second_event_of_an_id_is_set_aside_when_it_differs(self):
        first, second = event(id="e1"), event(id="e1", item_id="b")
        cleaned, report = clean_events([first, second], CATALOG, SETTINGS)
        assert cleaned == [first]
        assert kinds(report) == ["set_aside"]
        assert "'e1' already belongs to a different event" in report.notes[0].reason
        assert json.loads(report.notes[0].record)["item_id"] == "b"

    def test_an_unknown_item_needs_a_text(self):
        events = [event(item_id="x9"), event("review", "x9", text="fine", value=4), event(item_id="b")]
        cleaned, report = clean_events(events, CATALOG, SETTINGS, rows=[17, 18, 19])
        assert cleaned == events[1:]
        assert kinds(report) == ["set_aside", "repaired"]
        assert report.notes[0].reason == "the item 'x9' is not in the catalogue"
        assert report.summary() == (
            "3 read, 2 kept: 1 repaired, 1 set aside (row 17: the item 'x9' is not in the catalogue)"
        )

    def test_without_a_catalogue_no_item_is_looked_up(self):
        cleaned, report = clean_events([event(item_id="x9")], None, SETTINGS)
        assert len(cleaned) == 1
        assert report.notes == []

    def test_an_action_without_a_strength_is_set_aside(self):
        cleaned, report = clean_events([event("borrow"), event("Purchase")], CATALOG, SETTINGS)
        assert cleaned == []
        assert "LLMREC_ACTION_STRENGTHS" in report.notes[0].reason
        assert "Settings.action_strengths" in report.notes[0].reason
        assert "write 'purchase'" in report.notes[1].reason
        kept, _ = clean_events([event("borrow")], CATALOG, Settings(action_strengths={"borrow": 0.5}))
        assert len(kept) == 1

    @pytest.mark.parametrize("action", ["rate", "review"])
    @pytest.mark.parametrize("value", [0, -1, 5.5, 8, 80])
    def test_a_rating_of_another_scale_is_set_aside(self, action, value):
        cleaned, report = clean_events([event(action, value=value)], CATALOG, SETTINGS)
        assert cleaned == []
        assert "rescale" in report.notes[0].reason

    @pytest.mark.parametrize(
        ("action", "value"), [("rate", 0.5), ("rate", 5), ("review", None), ("purchase", 12)]
    )
    def test_other_values_are_kept(self, action, value):
        assert len(clean_events([event(action, value=value)], CATALOG, SETTINGS)[0]) == 1

    def test_control_characters_are_removed_and_noted_but_line_breaks_only_replaced(self):
        events = [event("say", None, text="a\x1b[2Jb"), event("say", None, text="c\nd"), event(text="\0")]
        cleaned, report = clean_events(events, CATALOG, SETTINGS)
        assert [each.text for each in cleaned] == ["a[2Jb", "c d", None]
        assert kinds(report) == ["repaired", "repaired"]
        assert "control characters" in report.notes[0].reason

    def test_events_made_equal_by_cleaning_are_merged(self):
        cleaned, report = clean_events(
            [event("say", None, text="ab"), event("say", None, text="a\0b")], CATALOG, SETTINGS
        )
        assert cleaned == [event("say", None, text="ab")]
        assert kinds(report) == ["merged"]

    def test_an_explicit_id_survives_the_cleaning_of_the_text(self):
        cleaned, _ = clean_events([event("say", None, text="a\0b", id="mine")], CATALOG, SETTINGS)
        assert cleaned[0].id == "mine"

    def test_a_text_of_control_characters_alone_is_set_aside(self):
        cleaned, report = clean_events([event("say", None, text="\0\x07")], CATALOG, SETTINGS)
        assert cleaned == []
        assert kinds(report) == ["set_aside"]

    def test_long_texts_are_kept_whole(self):
        long = "word " * 10_000
        assert clean_events([event("say", None, text=long)], CATALOG, SETTINGS)[0][0].text == long

    def test_rows_must_match_the_records(self):
        with pytest.raises(InputError, match="1 records but 2 rows"):
            clean_events([event()], CATALOG, SETTINGS, rows=[1, 2])

    def test_an_event_without_a_row_hides_no_row_of_the_others(self):
        events = [event(item_id="gone"), event(timestamp=NOW), event("say", None, text="hello")]
        cleaned, report = clean_events(events, CATALOG, SETTINGS, rows=[7, 8, None])
        assert cleaned == events[1:]
        assert report.notes[0].row == 7
        assert report.rows == [8, None]

    @settings(deadline=None)
    @given(
        st.lists(
            st.builds(
                Event,
                user_id=st.sampled_from(["ana", "ben"]),
                action=st.sampled_from(["view", "rate", "borrow", "say"]),
                item_id=st.sampled_from(["a", "b", "gone"]),
                text=st.none() | st.text(st.characters(), max_size=5),
                value=st.none() | st.floats(-1, 7),
                timestamp=st.none() | st.integers(10**9, 10**9 + 5),
                id=st.sampled_from(["", "", "e1", "e2"]),
            ),
            max_size=12,
        )
    )
    def test_every_event_is_kept_or_noted_and_cleaning_again_changes_nothing(self, events):
        cleaned, report = clean_events(events, CATALOG, SETTINGS, rows=range(1, len(events) + 1))
        assert adds_up(report)
        assert report.kept == len(cleaned) == len(report.rows)
        gone = {note.row for note in report.notes if note.kind != "repaired"}
        assert sorted([*report.rows, *gone]) == list(range(1, len(events) + 1))
        for each, row in zip(cleaned, report.rows, strict=True):
            assert each.item_id == events[row - 1].item_id
            assert each.timestamp == events[row - 1].timestamp
        again, second = clean_events(cleaned, CATALOG, SETTINGS)
        for user in ("ana", "ben"):
            assert [each for each in again if each.user_id == user] == [
                each for each in cleaned if each.user_id == user
            ]
        assert not second.of_kind("merged")
        assert not second.of_kind("set_aside")


class TestCleanItems:
    def test_equal_items_are_merged_and_a_second_of_an_id_is_set_aside(self):
        items = [
            Item(id="a", title="A"),
            Item(id="a", title="A"),
            Item(id="a", title="B"),
            Item(id="b", title="B"),
        ]
        cleaned, report = clean_items(items, rows=[2, 3, 4, 5], source="items.csv")
        assert cleaned == [items[0], items[3]]
        assert kinds(report) == ["merged", "set_aside"]
        assert report.rows == [2, 5]
        assert report.notes[1].source == "items.csv"
        assert adds_up(report)
        Catalog(cleaned)

    def test_every_text_of_an_item_is_cleaned(self):
        item = Item(
            id="a",
            title="A\0lien",
            description="two\nlines\x1b",
            categories=("Sci\u202e-fi",),
            attributes={"ye\0ar": "19\x0779"},
        )
        cleaned, report = clean_items([item])
        assert cleaned == [
            Item(
                id="a",
                title="Alien",
                description="two lines",
                categories=("Sci-fi",),
                attributes={"year": "1979"},
            )
        ]
        assert kinds(report) == ["repaired"] * 4

    def test_a_title_of_control_characters_alone_is_set_aside(self):
        cleaned, report = clean_items([Item(id="a", title="\0")])
        assert cleaned == []
        assert kinds(report) == ["set_aside"]


class TestCleaningReport:
    def note(self, kind, row, source="one.csv"):
        return CleaningNote(row=row, kind=kind, reason=f"reason {row}", record="{}", source=source)

    def test_summary_quotes_the_gravest_note(self):
        report = CleaningReport(
            read=120,
            kept=116,
            notes=[
                self.note("set_aside", 17),
                self.note("merged", 3),
                self.note("merged", 4),
                self.note("set_aside", 18),
            ],
        )
        assert report.summary() == "120 read, 116 kept: 2 merged, 2 set aside (row 17: reason 17; and 1 more)"
        assert CleaningReport(read=2, kept=1, notes=[self.note("merged", 1)]).summary() == (
            "2 read, 1 kept: 1 merged"
        )

    def test_two_sources_are_added(self):
        one = CleaningReport(read=3, kept=2, notes=[self.note("set_aside", 2)], rows=[1, 3])
        two = CleaningReport(read=1, kept=1, notes=[self.note("repaired", 1, "two.csv")], rows=[1])
        both = one + two
        assert (both.read, both.kept, both.rows) == (4, 3, [1, 3, 1])
        assert both.notes == one.notes + two.notes
        assert "row 2 of one.csv" in both.summary()

    def test_a_source_without_rows_leaves_those_of_the_other_in_their_places(self):
        with_rows = CleaningReport(read=2, kept=2, rows=[1, 3])
        without = CleaningReport(read=1, kept=1)
        assert (with_rows + without).rows == [1, 3, None]
        assert (without + with_rows).rows == [None, 1, 3]
        assert (without + without).rows == []
        assert (with_rows + CleaningReport()).rows == [1, 3]

    def test_two_steps_follow_each_other(self):
        reading = CleaningReport(read=3, kept=2, notes=[self.note("set_aside", 2)], rows=[1, 3])
        cleaning = CleaningReport(read=2, kept=1, notes=[self.note("merged", 3)], rows=[1])
        both = reading.then(cleaning)
        assert (both.read, both.kept, both.rows) == (3, 1, [1])
        assert adds_up(both)

    def test_rows_are_not_written_out(self):
        assert "rows" not in CleaningReport(read=1, kept=1, rows=[1]).model_dump()
