"""Reading data sets in every format, and what is said of those that are malformed."""

from __future__ import annotations

import pytest

from llmrec.errors import InputError
from llmrec.evaluation.datasets import DataSource, read_dataset
from tests.evaluation.made_datasets import BEGIN, DAY, rated, shop, write_lines


def recbole(folder, *, rating=True, items=True):
    folder.mkdir()
    header = "user_id:token\titem_id:token" + ("\trating:float" if rating else "") + "\ttimestamp:float\n"
    rows = [("ana", "a", 5, 2), ("ana", "b", 2, 1), ("bo", "c", 4, 1)]
    (folder / "shop.inter").write_text(
        header
        + "".join(
            f"{u}\t{i}\t" + (f"{r}\t" if rating else "") + f"{BEGIN + d * DAY}\n" for u, i, r, d in rows
        )
    )
    if items:
        (folder / "shop.item").write_text(
            "item_id:token\ttitle:token_seq\tcategories:token_seq\n"
            "a\tA tea pot\tKitchen Tea\nb\tA book\tBooks\nc\t红茶\tTea\n"
        )
    return folder


class TestRecBole:
    @pytest.mark.parametrize("name", ["", "shop.inter"])
    def test_a_folder_or_its_file_of_interactions(self, tmp_path, name):
        data = read_dataset(recbole(tmp_path / "set") / name, domain="things")
        assert data.name == "shop"
        assert [e.item_id for e in data.people["ana"]] == ["b", "a"]
        assert [(e.action, e.value) for e in data.people["ana"]] == [("rate", 2.0), ("rate", 5.0)]
        assert data.catalog["c"].title == "红茶"
        assert data.catalog["a"].domain == "things"
        assert data.given == {}
        assert data.log is None

    def test_interactions_without_ratings_are_clicks_or_what_one_says(self, tmp_path):
        folder = recbole(tmp_path / "set", rating=False)
        assert {e.action for e in read_dataset(folder).people["ana"]} == {"click"}
        bought = DataSource(path=folder, action="purchase").read()
        assert {e.action for e in bought.people["ana"]} == {"purchase"}

    def test_ratings_stay_ratings_where_an_action_is_given_for_what_has_none(self, tmp_path):
        folder = recbole(tmp_path / "set")
        assert {e.action for e in read_dataset(folder, action="purchase").people["ana"]} == {"rate"}

    def test_without_items_or_with_several_files(self, tmp_path):
        folder = recbole(tmp_path / "set", items=False)
        with pytest.raises(InputError, match=r"there is no .*shop\.item: put RecBole's \.item beside"):
            read_dataset(folder)
        (folder / "other.inter").write_text("")
        with pytest.raises(InputError, match=r"holds 2 files \.inter: name the one to read"):
            read_dataset(folder)


class TestEventsAndMovieLens:
    def test_a_movielens_folder(self, tmp_path):
        folder = rated(tmp_path / "ml", [("1", "10", 4.5, 2), ("1", "11", 1, 1)], ["10", "11"])
        data = read_dataset(folder)
        assert data.name == "ml"
        assert [(e.item_id, e.value) for e in data.people["1"]] == [("11", 1.0), ("10", 4.5)]
        assert data.catalog["10"].categories == ("Drama", "Comedy")

    def test_a_file_of_events_with_a_file_of_items(self, tmp_path):
        events = write_lines(
            tmp_path / "events.jsonl",
            [
                {"user_id": "小雨", "action": "search", "text": "手机", "timestamp": BEGIN},
                {"user_id": "小雨", "action": "purchase", "item_id": "a", "timestamp": BEGIN + 1},
                {"user_id": "小雨", "action": "purchase", "item_id": "gone", "timestamp": BEGIN + 2},
            ],
        )
        items = write_lines(tmp_path / "items.jsonl", [{"id": "a", "title": "小米14"}])
        data = read_dataset(events, catalog=items)
        assert [e.action for e in data.people["小雨"]] == ["search", "purchase"]
        (note,) = data.notes
        assert "'gone' is not in the catalogue" in note
        with pytest.raises(InputError, match="name the file of its items too"):
            read_dataset(events)

    def test_nothing_to_evaluate_on(self, tmp_path):
        items = write_lines(tmp_path / "items.jsonl", [{"id": "a", "title": "A"}])
        events = write_lines(
            tmp_path / "e.jsonl", [{"user_id": "u", "action": "purchase", "item_id": "gone"}]
        )
        with pytest.raises(InputError, match="holds no events on the items of"):
            read_dataset(events, catalog=items)
        empty = write_lines(tmp_path / "none.jsonl", [])
        with pytest.raises(InputError, match="holds no items"):
            read_dataset(events, catalog=empty)


class TestWhatIsNoDataset:
    def test_a_path_that_is_not_there(self, tmp_path):
        with pytest.raises(InputError, match="there is no folder or file"):
            read_dataset(tmp_path / "nowhere")

    def test_a_folder_of_something_else(self, tmp_path):
        (tmp_path / "notes.txt").write_text("hello")
        with pytest.raises(InputError, match="holds no data set that is known"):
            read_dataset(tmp_path)

    def test_an_unknown_format(self, tmp_path):
        with pytest.raises(InputError, match="the format 'xml' of a data set is unknown: choose one of auto"):
            read_dataset(tmp_path, format="xml")

    def test_a_choice_of_history_where_there_is_but_one(self, tmp_path):
        with pytest.raises(InputError, match="history='both' is for a folder"):
            read_dataset(recbole(tmp_path / "set"), history="both")


def test_the_digest_follows_every_file_and_option(tmp_path):
    folder = shop(tmp_path / "shop")
    first = read_dataset(folder).digest
    assert read_dataset(folder).digest == first
    assert read_dataset(folder, domain="games").digest != first
    for name in ("items", "dev", "interactions"):
        path = folder / f"{name}.jsonl"
        before = path.read_text("utf-8")
        path.write_text(before + "\n", "utf-8")
        assert read_dataset(folder).digest != first
        path.write_text(before, "utf-8")
