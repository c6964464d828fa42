"""Labels that mean the same become one, and others stay apart, in whatever order they come."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.interests.merging import LabelPath, abbreviates, fold_label, merge_labels, pair_overlap
from llmrec.llm.embedder import Embedder
from tests.interests.extraction_tools import ToldEmbedder


def embedder_of(**cosines: float) -> ToldEmbedder:
    """An embedder in which each word has this cosine with the word `base`."""
    directions = {"base": [1.0]}
    for at, (word, cosine) in enumerate(cosines.items(), start=1):
        directions[word] = [cosine, *([0.0] * (at - 1)), (1 - cosine**2) ** 0.5]
    return ToldEmbedder(directions)


def one_label(*labels: str, above: str = "Things", embedder: Embedder | None = None) -> bool:
    merged = merge_labels({(above, label): 1 for label in labels}, embedder)
    return len({merged[above, label] for label in labels}) == 1


@pytest.mark.parametrize(
    "labels",
    [
        ("Sci-Fi", "SCI FI", "sci‑fi", "ＳｃｉＦｉ"),
        ("Board game", "board games", "Board-Games"),
        ("Movie", "Movies"),
        ("Watches", "watch"),
        ("Food & drink", "Food and drinks", "Food＆Drink"),
        ("Children's books", "Childrens books", "Children’s book"),
        ("Horror", "Horror things"),
        ("Science fiction", "Sci-fi"),
        ("Role-playing games", "RPG"),
        ("科幻", "科幻片", "科幻类"),
        ("科幻与奇幻", "科幻和奇幻"),
    ],
)
def test_spellings_of_one_label_are_one(labels: tuple[str, ...]) -> None:
    assert one_label(*labels)


@pytest.mark.parametrize(
    "labels",
    [
        ("PlayStation 2", "PlayStation 3"),
        ("Final Fantasy II", "Final Fantasy III"),
        ("Fiction", "Non-fiction"),
        ("Sugar", "Sugar-free"),
        ("C", "C++"),
        ("C#", "C++"),
        ("Italian cuisine", "Indian cuisine"),
        ("News", "New"),
        ("智能手机", "智能手表"),
        ("智能运动手表", "智能运动手环"),
        ("中国历史", "中国历史小说"),
        ("恐怖片", "非恐怖片"),
        ("八十年代", "九十年代"),
        ("!!!", "???"),
    ],
)
def test_what_only_looks_alike_stays_apart(labels: tuple[str, ...]) -> None:
    assert not one_label(*labels)


@pytest.mark.parametrize(
    "labels",
    [
        ("PlayStation 2", "PlayStation 3"),
        ("Part II", "Part III"),
        ("Fiction", "Non-fiction"),
        ("Smoking", "Anti-smoking"),
        ("C", "C++"),
    ],
)
def test_numbers_and_negations_part_labels_however_close_their_words_are(labels: tuple[str, ...]) -> None:
    close = {"playstation": [1.0], "part": [1.0], "fiction": [1.0], "smoking": [1.0], "c": [1.0]}
    assert not one_label(*labels, embedder=ToldEmbedder(close))


@pytest.mark.parametrize(("cosine", "same"), [(0.76, True), (0.74, False)])
def test_labels_close_in_meaning_are_one_above_the_threshold(cosine: float, same: bool) -> None:
    assert one_label("Base", "Film", embedder=embedder_of(film=cosine)) is same


def test_words_in_common_do_not_make_labels_one() -> None:
    """Of science fiction films and science fiction books, films and books are what counts."""
    embedder = ToldEmbedder(
        {"science": [3.0], "fiction": [3.0], "films": [0.0, 1.0], "books": [0.0, 0.0, 1.0]}
    )
    assert not one_label("Science fiction films", "Science fiction books", embedder=embedder)
    assert not one_label("Science fiction", "Science fiction books", embedder=embedder)


def test_a_word_that_only_names_the_parent_once_more_does_not_part_them() -> None:
    embedder = ToldEmbedder({"horror": [3.0], "movies": [0.0, 1.0], "films": [0.0, 0.9, 0.3]})
    assert one_label("Horror", "Horror movies", above="Films", embedder=embedder)


def test_no_chain_joins_what_is_far_apart() -> None:
    """Each is close to the next; the ends are not close to each other."""
    embedder = ToldEmbedder({"first": [1.0, 0.0], "second": [0.8, 0.6], "third": [0.28, 0.96]})
    labels = {("First",): 1, ("Second",): 1, ("Third",): 1}
    merged = merge_labels(labels, embedder)
    assert len(set(merged.values())) == 2
    assert merged["First",] != merged["Third",]


def test_the_label_with_the_most_events_names_them_all() -> None:
    merged = merge_labels(
        {("Films", "sci-fi"): 2, ("Films", "Sci-Fi"): 3, ("Movies", "Space"): 1, ("films",): 1}
    )
    assert merged["Films", "sci-fi"] == ("Films", "Sci-Fi")
    assert merged["films",] == ("Films",)
    assert merged["Movies",] == ("Movies",)


def test_labels_below_parents_that_became_one_are_merged_and_others_are_not() -> None:
    embedder = ToldEmbedder({"films": [1.0], "movies": [0.9, 0.43], "games": [0.0, 0.0, 1.0]})
    paths = {("Films", "Horror"): 2, ("Movies", "horror"): 1, ("Games", "HORROR"): 5}
    merged = merge_labels(paths, embedder)
    assert merged["Movies", "horror"] == ("Films", "Horror")
    assert merged["Games", "HORROR"] == ("Games", "HORROR")


def test_fixed_paths_keep_their_names_and_give_them_to_others() -> None:
    paths = {("films", "SCI-FI"): 9, ("Films", "Drama"): 1}
    merged = merge_labels(paths, fixed={("Films", "Sci-fi"), ("film", "Western")})
    assert merged["Films", "Sci-fi"] == ("Films", "Sci-fi")
    assert merged["film", "Western"] == ("film", "Western")
    assert merged["films", "SCI-FI"] == ("Films", "Sci-fi")


def test_letters_decide_where_no_embedder_speaks() -> None:
    assert one_label("Colour photography", "Color photography") is (
        pair_overlap("colour photography", "color photography") >= 0.85
        and pair_overlap("colour", "color") >= 0.85
    )
    assert one_label("纪录片与真人秀节目", "纪录片和真人秀节目")
    assert one_label("户外徒步露营旅行", "户外徒步野营旅行") is (
        pair_overlap("户外徒步露营旅行", "户外徒步野营旅行") >= 0.75
    )


def test_overlap_is_that_of_pairs_of_characters() -> None:
    assert pair_overlap("ab", "ab") == 1.0
    assert pair_overlap("ab", "cd") == 0.0
    assert pair_overlap("abc", "abd") == pytest.approx(2 * 2 / 8)


def test_abbreviations_are_known_by_their_letters() -> None:
    assert abbreviates("RPG", "Role-playing games")
    assert abbreviates("sci-fi", "Science fiction")
    assert not abbreviates("Car racing", "Cart race")
    assert not abbreviates("Games", "Games about science fiction")
    assert not abbreviates("rpg", "Role-playing games")


label = st.sampled_from(
    (
        "Films film Movies Sci-Fi sci_fi SF Science_fiction Horror PS_2 PS2 PS_3 科幻 科幻片 电影 "
        "不吃辣 吃辣 Food_&_drink food_and_drinks Noir Base Close"
    )
    .replace("_", "\u00a0")
    .split(" ")
)
paths = st.dictionaries(
    st.lists(label, min_size=1, max_size=4).map(tuple), st.integers(1, 5), min_size=1, max_size=12
)
EMBEDDERS = [None, embedder_of(films=0.8, movies=0.8, close=0.9, horror=0.76, noir=0.75)]


@given(paths, st.sampled_from(EMBEDDERS), st.randoms(use_true_random=False))
def test_the_order_of_the_paths_changes_nothing(
    counts: dict[LabelPath, int], embedder: Embedder | None, chance: random.Random
) -> None:
    shuffled = list(counts.items())
    chance.shuffle(shuffled)
    assert merge_labels(dict(shuffled), embedder) == merge_labels(counts, embedder)


@given(paths, st.sampled_from(EMBEDDERS))
def test_merged_paths_form_a_tree_of_labels_that_were_there(
    counts: dict[LabelPath, int], embedder: Embedder | None
) -> None:
    merged = merge_labels(counts, embedder)
    for path, becomes in merged.items():
        assert len(becomes) == len(path)
        assert merged.get(path[:-1], ()) == becomes[:-1]
        assert becomes[-1] in {other[-1] for other in merged}
    assert {path[:end] for path in counts for end in range(1, len(path) + 1)} == set(merged)


@given(paths, st.data(), st.sampled_from(EMBEDDERS))
def test_what_is_fixed_never_changes(
    counts: dict[LabelPath, int], data: st.DataObject, embedder: Embedder | None
) -> None:
    fixed = data.draw(st.sets(st.sampled_from(sorted(counts))))
    merged = merge_labels(counts, embedder, fixed=fixed)
    for path in fixed:
        for end in range(1, len(path) + 1):
            assert merged[path[:end]] == path[:end]


@given(st.text(max_size=20))
def test_folding_a_label_takes_any_text(text: str) -> None:
    assert fold_label(text) == fold_label(text.strip()) or not text.strip()


def test_nothing_merges_to_nothing() -> None:
    assert merge_labels({}) == {}
