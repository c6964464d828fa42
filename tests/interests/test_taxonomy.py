"""The vocabulary: loading, finding names in texts, and what the shipped one keeps to."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.errors import InputError
from llmrec.interests.taxonomy import Vocabulary, VocabularyNode, slug
from llmrec.recommender import Recommender
from tests.builders import labels_of, scoring_model

SHIPPED = Vocabulary.load()


def vocabulary(*nodes: dict[str, Any]) -> Vocabulary:
    return Vocabulary(VocabularyNode.model_validate(node) for node in nodes)


def named_in(text: str, found_by: Vocabulary = SHIPPED) -> set[str]:
    return {mention.node_id for mention in found_by.mentions(text)}


def write_lines(path: Path, *lines: object) -> Path:
    texts = [line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines]
    path.write_text("\n".join(texts), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        pytest.param(['{"id": "a", "en": "A"}', "{nonsense"], "line 2: it is not JSON", id="no JSON"),
        pytest.param(["", "", '["a"]'], "line 3: ", id="no object, blank lines counted"),
        pytest.param([{"id": "a", "en": "A"}, {"id": "b"}], "line 2: en: Field required", id="no label"),
        pytest.param([{"id": "a", "en": "A", "zn": "甲"}], "line 1: zn: ", id="an unknown field"),
        pytest.param([{"id": "a", "en": ""}], "line 1: en: ", id="an empty label"),
        pytest.param(
            [{"id": "a", "en": "A"}, {"id": "a", "en": "B"}],
            "line 2: the vocabulary has two interests with the id 'a'",
            id="an id twice",
        ),
        pytest.param(
            [{"id": "a", "en": "A", "parent": "b"}, {"id": "b", "en": "B"}],
            "line 1: the interest 'a' names the parent 'b'",
            id="the parent after the child",
        ),
        pytest.param([""], "the vocabulary is empty", id="nothing"),
        pytest.param(['{"id": "a", "en": ' + "9" * 5000 + "}"], "line 1: ", id="a number too long"),
    ],
)
def test_a_fault_is_told_with_file_and_line(tmp_path: Path, lines: list[object], fault: str) -> None:
    path = write_lines(tmp_path / "own.jsonl", *lines)
    with pytest.raises(InputError) as caught:
        Vocabulary.load(path)
    assert fault in str(caught.value)
    assert "own.jsonl" in str(caught.value)


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "latin.jsonl").write_bytes(b'{"id": "caf\xe9", "en": "x"}')
    for path in (tmp_path / "missing.jsonl", tmp_path / "latin.jsonl", tmp_path):
        with pytest.raises(InputError, match="cannot be read: give a file of JSON lines in UTF-8"):
            Vocabulary.load(path)


def test_a_byte_order_mark_and_odd_line_ends_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_bytes('\ufeff{"id": "a", "en": "A\u2028B"}\r\n\r\n{"id": "c", "en": "C"}\r\n'.encode())
    assert [node.id for node in Vocabulary.load(path)] == ["a", "c"]


def test_the_longest_name_wins() -> None:
    found = named_in("a tower defense game")
    assert "games/strategy/tower-defence" in found
    assert named_in("an electric guitar") & {"music/instruments/guitar", "music/instruments"} == {
        "music/instruments/guitar"
    }
    small = vocabulary(
        {"id": "a", "en": "Science"},
        {"id": "b", "en": "Fiction"},
        {"id": "c", "en": "Science fiction"},
        {"id": "d", "en": "Science fiction films"},
    )
    assert named_in("old science fiction films", small) == {"d"}
    assert named_in("science and fiction", small) == {"a", "b"}


def test_a_brand_and_the_thing_it_makes_are_both_meant() -> None:
    assert {"appliances/brand/gree", "appliances/air-conditioners"} <= named_in("格力空调 1.5匹")
    assert {"phones/brand/xiaomi", "phones"} <= named_in("小米手机")


def test_english_names_are_whole_words() -> None:
    small = vocabulary({"id": "art", "en": "Art"}, {"id": "cars", "en": "Cars"}, {"id": "pc", "en": "PC"})
    assert named_in("A cartoon of a scarf, and upcoming parties", small) == set()
    assert named_in("The ART of cars", small) == {"art", "cars"}
    assert named_in("an art-house film", small) == {"art"}


def test_a_plural_is_found_by_its_singular() -> None:
    small = vocabulary({"id": "zombie", "en": "Zombie"}, {"id": "bass", "en": "Bass"})
    assert named_in("zombies", small) == {"zombie"}
    assert named_in("bass", small) == {"bass"}


def test_chinese_and_english_side_by_side() -> None:
    assert {"computers/system/macos", "computers/brand/apple"} <= named_in("苹果MacBook电脑")
    assert "phones/brand/xiaomi" in named_in("想买Redmi手机")
    assert "computers" in named_in("系统macOS的电脑")
    assert named_in("我爱jazz和RPG") >= {"music/jazz", "games/role-playing"}


def test_signs_belong_to_a_name() -> None:
    languages = vocabulary(
        {"id": "c", "en": "C"}, {"id": "cpp", "en": "C++"}, {"id": "cs", "en": "C#"}, {"id": "go", "en": "Go"}
    )
    assert named_in("modern C++ and C#", languages) == {"cpp", "cs"}
    assert languages.named("C++") == ["cpp"]
    assert "technology/programming" not in named_in("Vitamin C serum with USB-C charger")


def test_places_are_those_of_the_folded_text() -> None:
    text = "WATCH Science Fiction"
    (mention,) = vocabulary({"id": "sf", "en": "science fiction"}).mentions(text)
    assert text.casefold()[mention.begin : mention.end] == "science fiction"


def test_a_name_alone_is_found_at_any_length() -> None:
    long_label = "Computers, tablets, office and all that belongs to them"
    own = vocabulary(
        {"id": "tea", "en": "Tea", "zh": "茶"},
        {"id": "it", "en": long_label, "zh": "电脑平板办公设备以及相关的一切用品"},
    )
    assert own.named("茶") == ["tea"]
    assert own.named(f" {long_label.upper()} ") == ["it"]
    assert own.named("电脑平板办公设备以及相关的一切用品") == ["it"]
    assert own.named("coffee") == []
    assert named_in("茶几", own) == set(), "one character is too little inside a longer text"


def test_a_long_text_is_read_in_time() -> None:
    text = "science fiction 小米手机 thriller 空调 " * 800
    assert {"phones/brand/xiaomi", "films/thriller", "appliances/air-conditioners"} <= named_in(text)


@given(st.text(max_size=40))
def test_any_text_can_be_searched(text: str) -> None:
    folded = text.casefold()
    for mention in SHIPPED.mentions(text):
        assert 0 <= mention.begin < mention.end <= len(folded)
        assert mention.node_id in SHIPPED


def test_looking_around_in_the_vocabulary() -> None:
    assert SHIPPED.ancestors("phones/brand/xiaomi") == ["phones", "phones/brand", "phones/brand/xiaomi"]
    assert SHIPPED.root("phones/brand/xiaomi") == "phones"
    assert "phones/brand/xiaomi" in [node.id for node in SHIPPED.children("phones/brand")]
    assert SHIPPED["phones"].label("zh") == "手机"
    assert SHIPPED["phones"].label("fr") == "Phones"
    assert VocabularyNode(id="x", en="X").label("zh") == "X"


def test_the_shipped_vocabulary_is_consistent() -> None:
    nodes = list(SHIPPED)
    assert len(nodes) == len({node.id for node in nodes}) > 500
    assert {len(SHIPPED.ancestors(node.id)) for node in nodes} == {1, 2, 3}
    for node in nodes:
        assert node.id.rpartition("/")[0] == (node.parent or ""), node.id
        assert node.id == node.id.lower()
        assert node.en.strip() == node.en
        assert node.zh.strip() == node.zh != ""
        assert all(alias.strip() for alias in node.aliases), node.id
    for parent in (None, *(node.id for node in nodes)):
        for language in ("en", "zh"):
            labels = Counter(node.label(language).casefold() for node in SHIPPED.children(parent))
            assert not labels or max(labels.values()) == 1, (parent, labels.most_common(1))


def test_every_shipped_name_finds_its_interest() -> None:
    for node in SHIPPED:
        for name in (node.en, node.zh, *node.aliases):
            assert node.id in SHIPPED.named(name), (node.id, name)


def test_ones_own_vocabulary_takes_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    own = write_lines(
        tmp_path / "own.jsonl",
        {"id": "plants", "en": "Plants", "zh": "植物"},
        {
            "id": "plants/succulents",
            "parent": "plants",
            "en": "Succulents",
            "zh": "多肉",
            "aliases": ["cactus"],
        },
        {"id": "plants/nursery", "parent": "plants", "en": "Nursery", "zh": "苗圃", "attribute": "nursery"},
    )
    items = [
        {"id": "1", "title": "A cactus in a pot", "attributes": {"nursery": "Greenhouse & Sons"}},
        {"id": "2", "title": "Large cactus", "attributes": {"nursery": "Greenhouse & Sons"}},
        {"id": "3", "title": "A horror film", "categories": ["Horror"], "domain": "films"},
        {"id": "4", "title": "Golden barrel, a cactus"},
    ]
    events = [{"user_id": "a", "action": "like", "item_id": item_id} for item_id in "123"]
    with Recommender(scoring_model(), items, vocabulary=own) as recommender:
        profile = recommender.profile(events)
        ranking = recommender.recommend(profile)
    assert labels_of(profile.hierarchy) == {
        ("Plants",),
        ("Plants", "Succulents"),
        ("Plants", "Nursery"),
        ("Plants", "Nursery", "Greenhouse & Sons"),
    }
    (horror,) = (entry.event.id for entry in profile.entries if entry.event.item_id == "3")
    assert profile.unlabelled == (horror,)
    assert [part.id for part in ranking[0].evidence.interests] == ["plants", "plants/succulents"]


def test_a_faulty_vocabulary_stops_a_recommender(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 1"):
        Recommender(scoring_model(), vocabulary=write_lines(tmp_path / "own.jsonl", "?"))


def test_slugs_keep_apart_what_differs_in_a_mark_or_is_a_sign() -> None:
    for different in (
        ("दाल", "दिल", "दल"),
        ("น้ำ", "นำ"),
        ("🎸", "🎹", "→", "other", "---"),
        ("C", "C++", "C#"),
        ("Résumé", "Resume"),
    ):
        assert len({slug(name) for name in different}) == len(different)
    for same in (
        ("Café", "Cafe\u0301", " CAFÉ! "),
        ("❤", "❤\ufe0f"),
        ("\u1100\u1161", "가"),
        ("Rock & Roll", "rock_roll"),
        ("", " ", "other"),
    ):
        assert len({slug(name) for name in same}) == 1, same
    assert slug("दाल मखनी") == "दाल-मखनी"
    assert slug("\u0301rock") == "rock", "a mark on nothing"
    assert slug("क्\u200dष") == "क्ष"
    assert slug("🎸").startswith("sign-")


def test_slugs_of_the_shipped_names_are_their_letters_and_digits() -> None:
    """What profiles were made with stays: marks change no id that holds none."""
    for node in SHIPPED:
        for name in (node.en, node.zh, *node.aliases):
            spelt = name.casefold().replace("+", "plus").replace("#", "sharp")
            assert slug(name) == (re.sub(r"[\W_]+", "-", spelt).strip("-") or "other")


@given(st.text())
def test_a_slug_is_an_id_and_its_own_slug(text: str) -> None:
    found = slug(text)
    assert found
    assert not set(found) & set(" /_\n")
    assert found == found.strip("-")
    assert slug(found) == found
