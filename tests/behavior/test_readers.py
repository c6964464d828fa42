"""Reading events and items: formats, names of columns, and files that are not what they should be."""

import io
import json
import sys
from datetime import datetime, timezone

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmrec.behavior.events import Event, Item
from llmrec.behavior.readers import read_events, read_items
from llmrec.errors import InputError

NOW = 1_719_830_000.0

UNICODE = st.characters(exclude_categories=("Cs",))
NAMES = st.text(UNICODE, min_size=1, max_size=8)


def valid_events(texts):
    fields = {
        "user_id": NAMES,
        "action": NAMES,
        "value": st.none() | st.floats(allow_nan=False, allow_infinity=False),
        "timestamp": st.none() | st.floats(9.5e8, 4.1e9) | st.integers(10**9, 2 * 10**9),
        "id": st.just("") | NAMES,
    }
    with_item = st.builds(Event, item_id=NAMES, text=st.none() | texts, **fields)
    with_text = st.builds(Event, text=texts.filter(str.strip), **fields)
    return with_item | with_text


def stream(text):
    return io.BytesIO(text.encode("utf-8"))


def as_table(events, delimiter):
    """Every cell quoted by hand: the csv module of Python 3.10 cannot write NUL."""
    rows = [list(Event.model_fields), *(event.model_dump().values() for event in events)]
    cells = [["" if cell is None else str(cell).replace('"', '""') for cell in row] for row in rows]
    return "".join(delimiter.join(f'"{cell}"' for cell in row) + "\r\n" for row in cells)


def reasons(report):
    return [(note.row, note.kind, note.reason) for note in report.notes]


def adds_up(records, report):
    dropped = len(report.of_kind("merged")) + len(report.of_kind("set_aside"))
    assert report.kept == len(records) == len(report.rows)
    assert report.read == report.kept + dropped


class TestRoundTrips:
    @settings(deadline=None)
    @given(st.lists(valid_events(st.text(UNICODE))))
    def test_events_as_json_lines(self, events):
        text = "".join(event.model_dump_json() + "\n" for event in events)
        read, report = read_events(stream(text))
        assert read == events
        assert report.notes == []
        assert report.rows == list(range(1, len(events) + 1))

    @settings(deadline=None)
    @given(st.lists(valid_events(st.text(UNICODE))))
    def test_events_as_a_json_array(self, events):
        text = json.dumps([event.model_dump() for event in events], indent=2, ensure_ascii=False)
        assert read_events(stream(text), format="json")[0] == events

    @settings(deadline=None)
    @given(st.lists(valid_events(st.text(UNICODE, min_size=1))), st.sampled_from(["csv", "tsv"]))
    @example([Event(user_id="u", action="say", text='\ufdd0a\0"\r\n,\t\ufdd0b\x85\u2028')], "csv")
    def test_events_as_a_table(self, events, format_name):
        text = as_table(events, "\t" if format_name == "tsv" else ",")
        for source in (stream(text), io.StringIO(text, newline="")):
            read, report = read_events(source, format=format_name)
            assert read == events
            assert report.notes == []

    @settings(deadline=None)
    @given(
        st.lists(
            st.builds(
                Item,
                id=NAMES,
                title=st.text(UNICODE, min_size=1).filter(str.strip),
                description=st.text(UNICODE),
                categories=st.lists(NAMES).map(tuple),
                attributes=st.dictionaries(NAMES, NAMES.filter(str.strip)),
                domain=st.none() | NAMES,
                language=st.none() | st.sampled_from(["en", "zh", "zh-Hant"]),
            )
        )
    )
    def test_items_as_json_lines(self, items):
        read, report = read_items(stream("".join(item.model_dump_json() + "\n" for item in items)))
        assert read == items
        assert report.notes == []

    def test_events_as_parquet(self, tmp_path):
        pa = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        events = [
            Event(user_id="ana", item_id="a", action="rate", value=4.5, timestamp=NOW),
            Event(user_id="ana", text="two\nlines 日本", action="say"),
        ]
        path = tmp_path / "events.parquet"
        parquet.write_table(pa.Table.from_pylist([event.model_dump() for event in events]), path)
        read, report = read_events(path)
        assert read == events
        assert report.rows == [1, 2]
        with path.open("rb") as file:
            assert read_events(file, format="parquet")[0] == events


class TestAnyBytes:
    @settings(deadline=None)
    @given(
        st.binary() | st.text().map(str.encode),
        st.sampled_from(["jsonl", "json", "csv", "tsv", "recbole", "movielens", "parquet"]),
        st.sampled_from([read_events, read_items]),
    )
    def test_nothing_but_an_input_error_is_raised(self, content, format_name, read):
        if format_name == "parquet":
            pytest.importorskip("pyarrow")
        try:
            records, report = read(io.BytesIO(content), format=format_name)
        except InputError:
            return
        adds_up(records, report)

    @settings(deadline=None)
    @given(
        st.lists(
            st.sampled_from(
                [
                    b'{"user_id":"u","action":"view","item_id":"a"}',
                    b'{"user_id":"u","action":"view","item_id":"a","timestamp":"soon"}',
                    b'{"user_id":"u","action":"say","text":"\\ud83d"}',
                    b'{"user_id":"u"',
                    b"null",
                    b"\0\0\0",
                    b'{"user_id":1e999,"action":true,"item_id":[[]],"timestamp":1e400}',
                    b"",
                ]
            )
        ),
        st.binary(max_size=3),
    )
    def test_good_and_bad_lines_together_add_up(self, lines, tail):
        try:
            events, report = read_events(io.BytesIO(b"\n".join(lines) + tail))
        except InputError:
            return
        adds_up(events, report)
        assert len(events) >= sum(b'"item_id":"a"' in line for line in lines[:-1])

    @settings(deadline=None)
    @given(
        st.lists(st.lists(st.sampled_from(["u", "view", "a", '"', '"x"y', "4", "\r", "\0", ""]), max_size=4))
    )
    def test_good_and_bad_rows_of_a_table_add_up(self, cells):
        table = "user_id,action,item_id\nu,view,a\n" + "\n".join(",".join(row) for row in cells)
        events, report = read_events(stream(table), format="csv")
        adds_up(events, report)


class TestFaultyRecords:
    def test_each_faulty_line_is_set_aside_with_its_row_and_the_rest_is_kept(self):
        text = "\n".join(
            [
                '{"user_id": "u", "action": "view", "item_id": "a"}',
                "",
                '{"user_id": "u", "action": "view"',
                '["not", "an", "object"]',
                '{"user_id": "u", "item_id": "a"}',
                '{"action": "view", "item_id": "a"}',
                '{"user_id": "u", "action": "view"}',
                '{"user_id": "u", "action": "rate", "item_id": "a", "value": "five"}',
                '{"user_id": "u", "action": "view", "item_id": "b"}',
                '{"user_id": "u", "action": "view", "item_',
            ]
        )
        events, report = read_events(stream(text))
        assert [event.item_id for event in events] == ["a", "b"]
        assert report.rows == [1, 9]
        adds_up(events, report)
        found = reasons(report)
        assert [row for row, _, _ in found] == [3, 4, 5, 6, 7, 8, 10]
        assert {kind for _, kind, _ in found} == {"set_aside"}
        expected = [
            "not valid JSON",
            "not an object",
            "no action",
            "no user_id",
            "no item_id",
            "value",
            "JSON",
        ]
        for (_, _, reason), words in zip(found, expected, strict=True):
            assert words in reason
            assert "\n" not in reason
        assert json.loads(report.notes[2].record) == {"user_id": "u", "item_id": "a"}
        assert json.loads(report.notes[0].record) == '{"user_id": "u", "action": "view"'

    def test_an_impossible_timestamp_is_taken_as_unknown(self):
        lines = [
            {"user_id": "u", "action": "view", "item_id": "a", "timestamp": time}
            for time in ["soon", 0, 10**400, True, {"$date": 1}, "2024-13-01"]
        ]
        events, report = read_events(stream("\n".join(json.dumps(line) for line in lines)))
        assert [event.timestamp for event in events] == [None] * 6
        assert [note.kind for note in report.notes] == ["repaired"] * 6
        assert [note.row for note in report.notes] == [1, 2, 3, 4, 5, 6]
        assert all("timestamp" in note.reason for note in report.notes)

    @pytest.mark.parametrize(
        ("factor", "unit"), [(1e3, "milliseconds"), (1e6, "microseconds"), (1e9, "nanoseconds")]
    )
    def test_smaller_units_become_seconds_with_one_note(self, factor, unit):
        table = (
            f"user,item,rating,timestamp\nu,a,5,{NOW * factor:.0f}\nu,b,5,{NOW * factor:.0f}\nu,c,5,{NOW}\n"
        )
        events, report = read_events(stream(table), format="csv")
        assert [event.timestamp for event in events] == [NOW] * 3
        (note,) = report.notes
        assert (note.kind, note.row) == ("repaired", 2)
        assert note.reason == f"2 timestamps, the first here, in {unit} read as seconds"

    def test_rows_of_a_table_that_do_not_fit_the_header_are_set_aside(self):
        table = 'user_id,action,item_id\nu,view,"a\nb"\nu,view\nu,view,c,d\n,view,e\n'
        table += 'u,view,"x"y\n\nu,view,f\nu,view,"g'
        events, report = read_events(stream(table), format="csv")
        assert [event.item_id for event in events] == ["a\nb", "f"]
        assert report.rows == [2, 9]
        assert [note.row for note in report.notes] == [4, 5, 6, 7, 10]
        assert "2 values where the header has 3" in report.notes[0].reason
        assert "u,view" in report.notes[0].record
        adds_up(events, report)

    def test_a_cut_array_keeps_what_stands_before_the_cut(self):
        whole = json.dumps([{"id": name, "title": name.upper()} for name in "abc"])
        for text, kept in ((whole[:-1], 3), (whole[:-4], 2), (whole.replace("}, {", "} {", 1), 1)):
            items, report = read_items(stream(text))
            assert len(items) == kept
            assert len(report.of_kind("set_aside")) == 1
            adds_up(items, report)
        items, report = read_items(stream(whole + "more"))
        assert len(items) == 3
        assert "after the end" in report.notes[0].reason

    def test_items_without_a_title_are_set_aside(self):
        lines = [
            '{"id": "a", "title": "Alien"}',
            '{"id": "b", "title": "  "}',
            '{"id": "c"}',
            '{"title": "D"}',
        ]
        items, report = read_items(stream("\n".join(lines)))
        assert items == [Item(id="a", title="Alien")]
        assert [note.row for note in report.notes] == [2, 3, 4]
        assert "title is empty" in report.notes[0].reason
        assert "no title" in report.notes[1].reason
        assert "no id" in report.notes[2].reason

    def test_halves_of_characters_are_removed(self):
        events, report = read_events(
            stream('{"user_id": "u", "action": "say", "text": "a\\ud83d b \\ud83d\\ude00"}')
        )
        assert events[0].text == "a b 😀"
        assert reasons(report) == [(1, "repaired", "halves of characters (lone surrogates) were removed")]

    def test_raw_control_characters_inside_json_strings_are_read(self):
        events, _ = read_events(io.BytesIO(b'{"user_id":"u","action":"say","text":"a\0\tb"}\n'))
        assert events[0].text == "a\0\tb"

    def test_deeply_nested_values_are_set_aside(self):
        deep = "[" * 800 + "]" * 800
        very_deep = "[" * 100_000 + "]" * 100_000
        lines = ['{"id":"a","title":"A"}', f'{{"id":"b","title":"B","genres":{deep},"x":{deep}}}']
        lines.append(f'{{"id":"c","title":"C","x":{very_deep}}}')
        items, report = read_items(stream("\n".join(lines)))
        assert items[0].id == "a"
        adds_up(items, report)
        assert report.notes[-1].row == 3

    def test_nothing_readable_is_an_error_that_names_the_first_reason(self):
        with pytest.raises(InputError, match=r"not one of its records \(2\).*row 1: it is not valid JSON"):
            read_events(stream("nonsense\nmore nonsense\n"))

    @pytest.mark.parametrize(
        ("format_name", "content"),
        [
            *(("jsonl", content) for content in (b"", b"\xef\xbb\xbf", b"\n \n", b"[]", b"[ ]\n")),
            *(("csv", content) for content in (b"", b"\xef\xbb\xbf", b"\n\r\n", b"user,item,rating\n")),
            ("tsv", b"user\titem"),
            ("recbole", b"user_id:token\titem_id:token\n"),
            ("parquet", b""),
        ],
    )
    def test_an_empty_file_has_no_events(self, format_name, content):
        events, report = read_events(io.BytesIO(content), format=format_name)
        assert events == []
        assert (report.read, report.kept, report.notes) == (0, 0, [])


class TestColumns:
    def test_common_names_are_found(self):
        table = "userId,movieId,rating,ts\n7,12,4.5,2024-07-01T10:33:20Z\n"
        assert read_events(stream(table), format="csv")[0] == [
            Event(user_id="7", item_id="12", action="rate", value=4.5, timestamp=NOW)
        ]
        review = {
            "reviewerID": "A1",
            "asin": "B0",
            "overall": 5.0,
            "unixReviewTime": NOW,
            "reviewText": "good",
        }
        assert read_events(stream(json.dumps(review)))[0] == [
            Event(user_id="A1", item_id="B0", action="rate", value=5, timestamp=NOW, text="good")
        ]

    def test_the_caller_names_columns_and_constants(self):
        table = "who,sku,when,item\nana,s1,1719830000,ignored\n"
        names = {"user_id": "who", "item_id": "sku", "timestamp": "when", "action": "=purchase"}
        assert read_events(stream(table), format="csv", columns=names)[0] == [
            Event(user_id="ana", item_id="s1", action="purchase", timestamp=NOW)
        ]

    def test_a_column_that_the_caller_names_serves_no_other_field(self):
        line = '{"user": "ana", "item": "quiet films", "action": "search"}'
        assert read_events(stream(line), columns={"text": "item"})[0] == [
            Event(user_id="ana", text="quiet films", action="search")
        ]

    def test_a_table_without_a_needed_column_fails_at_its_first_row(self):
        def endless_table():
            yield b"user,rating\n"
            yield b"u,5\n"
            raise AssertionError("read on after the first row")

        class Table:
            read = None
            __iter__ = staticmethod(endless_table)

        with pytest.raises(InputError, match="no item_id"):
            read_events(Table(), format="csv")

    def test_a_constant_wins_over_a_column(self):
        table = "user,item,action\nana,a,x\n"
        events, _ = read_events(stream(table), format="csv", columns={"action": "=save"})
        assert events[0].action == "save"

    def test_an_action_column_without_a_value_is_no_rating(self):
        table = "user,item,action,rating\nana,a,like,5\nana,b,,5\n"
        events, report = read_events(stream(table), format="csv")
        assert [event.action for event in events] == ["like"]
        assert "no action" in report.notes[0].reason

    @pytest.mark.parametrize(
        ("table", "columns", "words"),
        [
            ("a,b,rating\n1,2,3\n", None, r"no user_id.*\(a, b, rating\).*columns=\{'user_id': '...'\}"),
            ("user,b,rating\n1,2,3\n", None, "no item_id"),
            ("user,item\n1,2\n", None, "columns={'action': '=view'}"),
            ("user,item,rating\n1,2,3\n", {"timestamp": "tss"}, "no column 'tss'.*user, item, rating"),
            ("user,item,rating\n1,2,3\n", {"sku": "item"}, "field 'sku', which does not exist"),
            ("user,item,item\n1,2,3\n", None, "two columns are called 'item'"),
        ],
    )
    def test_a_missing_or_unclear_column_is_an_error(self, table, columns, words):
        with pytest.raises(InputError, match=words.replace("{'action': '=view'}", r"\{'action': '=view'\}")):
            read_events(stream(table), format="csv", columns=columns)

    def test_a_column_named_but_in_no_json_line_is_an_error(self):
        lines = '{"user": "u", "item": "a", "rating": 5}\n'
        with pytest.raises(InputError, match="no column 'when'"):
            read_events(stream(lines), columns={"timestamp": "when"})

    def test_numbers_become_ids_and_texts(self):
        lines = '{"user": 7, "item": 12.0, "rating": 5}\n'
        lines += '{"user": 7, "item": null, "query": 2001, "action": "search"}\n'
        events, _ = read_events(stream(lines))
        assert [(event.user_id, event.item_id, event.text) for event in events] == [
            ("7", "12", None),
            ("7", None, "2001"),
        ]
        assert read_items(stream('{"id": 1, "title": 1984}'))[0] == [Item(id="1", title="1984")]

    def test_other_columns_of_items_become_attributes(self):
        line = {
            "asin": "B0",
            "name": "Kettle",
            "overview": ["Boils", "water."],
            "genre": [["Home", "Kitchen"], "Tea"],
            "language": "English, French",
            "brand": "Acme",
            "colors": ["red", "blue"],
            "price": 12.5,
            "new": True,
            "size": {"h": 3},
            "nothing": None,
            "": "index",
        }
        items, report = read_items(stream(json.dumps(line)))
        assert items == [
            Item(
                id="B0",
                title="Kettle",
                description="Boils water.",
                categories=("Home", "Kitchen", "Tea"),
                attributes={
                    "language": "English, French",
                    "brand": "Acme",
                    "colors": "red, blue",
                    "price": "12.5",
                    "new": "true",
                    "size": '{"h": 3}',
                },
            )
        ]
        assert report.notes == []

    def test_the_second_of_two_possible_columns_is_kept_as_an_attribute(self):
        items, _ = read_items(stream('{"id": "a", "asin": "B0", "title": "T", "name": "N", "lang": "en"}'))
        assert items[0].attributes == {"asin": "B0", "name": "N"}
        assert items[0].language == "en"


class TestFormats:
    def test_a_folder_of_movielens(self, tmp_path):
        (tmp_path / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1,3,4.0,1719830000\n")
        (tmp_path / "movies.csv").write_text(
            "movieId,title,genres\n"
            '3,"City of Lost Children, The (Cité des enfants perdus, La) (1995)",Adventure|Sci-Fi\n'
            "4,Babylon 5,(no genres listed)\n"
            "5,Fawlty Towers (1975-1979),Comedy\n",
            encoding="utf-8",
        )
        events, _ = read_events(tmp_path)
        assert events == [Event(user_id="1", item_id="3", action="rate", value=4, timestamp=NOW)]
        expected = [
            Item(
                id="3",
                title="City of Lost Children, The (Cité des enfants perdus, La)",
                categories=("Adventure", "Sci-Fi"),
                attributes={"year": "1995"},
            ),
            Item(id="4", title="Babylon 5"),
            Item(id="5", title="Fawlty Towers", categories=("Comedy",), attributes={"year": "1975"}),
        ]
        assert read_items(str(tmp_path))[0] == expected
        assert read_items(tmp_path / "movies.csv")[0] == expected

    def test_recbole_atomic_files(self, tmp_path):
        inter, item = tmp_path / "ml.inter", tmp_path / "ml.item"
        inter.write_text(
            "user_id:token\titem_id:token\trating:float\ttimestamp:float\n196\t242\t3.0\t1719830000\n"
        )
        item.write_text(
            "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\ttags:token_seq\n"
            '242\t"Great Performances" Cats, Inc.\t1998\tComedy Musical\tfun cats\n'
            "243\tKimi no Na wa.\t2016\tDrama, Slice of Life\t\n"
        )
        assert read_events(inter)[0] == [
            Event(user_id="196", item_id="242", action="rate", value=3, timestamp=NOW)
        ]
        assert read_items(item)[0] == [
            Item(
                id="242",
                title='"Great Performances" Cats, Inc.',
                categories=("Comedy", "Musical"),
                attributes={"release_year": "1998", "tags": "fun, cats"},
            ),
            Item(
                id="243",
                title="Kimi no Na wa.",
                categories=("Drama", "Slice of Life"),
                attributes={"release_year": "2016"},
            ),
        ]
        with pytest.raises(InputError, match="no RecBole type"):
            read_events(stream("user_id\titem_id\nu\ta\n"), format="recbole")
        with pytest.raises(InputError, match="no title"):
            read_items(inter)

    def test_categories_and_old_line_ends_in_a_table(self):
        items, report = read_items(
            stream("id,title,genres\ra,Alien,Horror | Sci-Fi\rb,Brazil,\r"), format="csv"
        )
        assert items == [
            Item(id="a", title="Alien", categories=("Horror", "Sci-Fi")),
            Item(id="b", title="Brazil"),
        ]
        assert report.rows == [2, 3]

    def test_parquet_with_times_numbers_lists_and_gaps(self):
        pa = pytest.importorskip("pyarrow")
        parquet = pytest.importorskip("pyarrow.parquet")
        moment = datetime(2024, 7, 1, 10, 33, 20, tzinfo=timezone.utc)
        file = io.BytesIO()
        table = pa.table(
            {
                "user": pa.array([1, 2], pa.int64()),
                "item": pa.array([10.0, 11.0]),
                "rating": pa.array([4, 5], pa.int8()),
                "time": pa.array([moment, None], pa.timestamp("ns", "America/New_York")),
            }
        )
        parquet.write_table(table, file)
        file.seek(0)
        events, report = read_events(file, format="parquet")
        assert events == [
            Event(user_id="1", item_id="10", action="rate", value=4, timestamp=NOW),
            Event(user_id="2", item_id="11", action="rate", value=5),
        ]
        assert report.notes == []
        assert not file.closed
        items_file = io.BytesIO()
        parquet.write_table(
            pa.table({"id": ["a"], "title": ["A"], "genres": [["X", "Y"]], "n": [3]}), items_file
        )
        items_file.seek(0)
        assert read_items(items_file, format="parquet")[0] == [
            Item(id="a", title="A", categories=("X", "Y"), attributes={"n": "3"})
        ]

    def test_parquet_without_its_package_names_the_cure(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        path = tmp_path / "events.parquet"
        path.write_bytes(b"PAR1")
        with pytest.raises(InputError, match=r'pip install "llmrec\[parquet\]"'):
            read_events(path)

    def test_text_that_only_claims_to_be_parquet(self):
        pytest.importorskip("pyarrow")
        with pytest.raises(InputError, match="not a Parquet file"):
            read_events(io.BytesIO(b"user,item\n"), format="parquet")
        with pytest.raises(InputError, match="not a Parquet file"):
            read_events(io.StringIO("user,item\n"), format="parquet")

    def test_byte_order_marks_are_skipped(self, tmp_path):
        path = tmp_path / "events.csv"
        path.write_text("user,item,rating\nu,a,5\n", encoding="utf-8-sig")
        assert read_events(path)[0][0].user_id == "u"
        line = '\ufeff{"user": "u", "item": "a", "rating": 5}'
        assert read_events(stream(line))[0] == read_events(io.StringIO(line))[0]

    def test_standard_input(self, monkeypatch):
        line = '{"user": "u", "item": "a", "rating": 5}\n'
        for given_stdin in (io.TextIOWrapper(stream(line)), io.StringIO(line)):
            monkeypatch.setattr(sys, "stdin", given_stdin)
            events, report = read_events("-")
            assert len(events) == 1
            assert report.read == 1
        monkeypatch.setattr(sys, "stdin", None)
        with pytest.raises(InputError):
            read_events("-")

    def test_lines_are_read_one_by_one(self):
        class Endless:
            """More lines than memory holds, with a fault that ends the reading early."""

            given = 0

            def read(self, size=-1):
                raise AssertionError("the stream was read whole")

            def __iter__(self):
                while True:
                    self.given += 1
                    good = f'{{"user": "u", "item": "{self.given}", "rating": 5}}\n'
                    yield good.encode() if self.given < 50 else b"\xff\n"

        endless = Endless()
        with pytest.raises(InputError, match="line 50"):
            read_events(endless)
        assert endless.given == 50


class TestSourcesThatCannotBeRead:
    def test_missing_files_folders_and_unknown_formats(self, tmp_path):
        with pytest.raises(InputError, match=r"there is no file .*gone\.csv"):
            read_events(tmp_path / "gone.csv")
        with pytest.raises(InputError, match=r"is a folder without a ratings\.csv"):
            read_events(tmp_path)
        with pytest.raises(InputError, match=r"format of .* cannot be told"):
            read_events(tmp_path / "events.xlsx")
        with pytest.raises(InputError, match="'xml' is unknown"):
            read_events(stream(""), format="xml")
        with pytest.raises(InputError, match="cannot be opened"):
            read_events("a\0b.csv")
        with pytest.raises(InputError, match="cannot be read"):
            read_events(42)

    def test_a_file_that_may_not_be_read(self, tmp_path, monkeypatch):
        def refuse(*_args, **_kwargs):
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("pathlib.Path.open", refuse)
        with pytest.raises(InputError, match="may not be read"):
            read_events(tmp_path / "events.csv")

    @pytest.mark.parametrize("encoding", ["utf-16", "latin-1", "gb18030"])
    @pytest.mark.parametrize("format_name", ["csv", "jsonl"])
    def test_another_encoding(self, tmp_path, encoding, format_name):
        path = tmp_path / f"events.{format_name}"
        path.write_bytes("user,item,rating\nu,é,5\n".encode(encoding))
        with pytest.raises(InputError, match=r"events\..* is not UTF-8 text \(line \d\): save it as UTF-8"):
            read_events(path)

    def test_a_stream_that_fails_or_is_closed(self):
        closed = stream("x")
        closed.close()
        with pytest.raises(InputError, match="closed file"):
            read_events(closed)

        class Broken(io.BytesIO):
            def __next__(self):
                raise OSError(5, "Input/output error")

        with pytest.raises(InputError, match="Input/output error"):
            read_events(Broken(b"x"))

    def test_notes_name_the_file(self, tmp_path):
        path = tmp_path / "items.jsonl"
        path.write_text('{"id": "a", "title": "A"}\n{"id": "b"}\n')
        _, report = read_items(path)
        assert report.notes[0].source == str(path)
        assert report.summary() == (
            "2 read, 1 kept: 1 set aside (row 2: it has no title; if one of its columns (id) holds it, "
            "name that one with columns={'title': '...'})"
        )
