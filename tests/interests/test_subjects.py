"""What an extraction reads: items, searches, and the clauses in which a person says yes or no."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.behavior.events import Item
from llmrec.interests.subjects import entry_subjects, item_subject, language_of, split_clauses
from tests.builders import history_of


@pytest.mark.parametrize(
    ("sentence", "yes", "no"),
    [
        ("I love westerns", "westerns", ""),
        ("I don't like westerns", "", "westerns"),
        ("I do not watch westerns, but I enjoy comedies", "comedies", "westerns"),
        ("I love comedies but hate westerns", "comedies", "westerns"),
        ("No horror, gore or zombies, please; I love westerns", "westerns", "horror gore zombies"),
        ("I don't like horror or thrillers. Documentaries are fine", "Documentaries", "horror thrillers"),
        ("I can't stand horror and I never watch sport", "", "horror sport"),
        ("I cannot bear opera, I prefer jazz", "jazz", "opera"),
        ("Neither opera nor ballet, just jazz", "jazz", "opera ballet"),
        ("films without violence", "films", "violence"),
        ("jazz instead of opera", "jazz", "opera"),
        ("anything except opera", "", "opera"),
        ("Im tired of superheroes", "", "superheroes"),
        ("I haven’t enjoyed superheroes for years", "", "superheroes"),
        ("not only horror but also thrillers", "horror thrillers", ""),
        ("I can't get enough of jazz", "jazz", ""),
        ("I can't live without coffee", "coffee", ""),
        ("not bad: science fiction", "fiction", ""),
        ("nothing beats a good thriller", "thriller", ""),
        ("I never get tired of chess", "chess", ""),
        ("I want a no-bake cheesecake", "cheesecake", ""),
        ("I want to know more about notes and knots", "notes knots", ""),
        ("我喜欢科幻", "科幻", ""),
        ("我特别喜欢科幻电影", "科幻", ""),
        ("我不喜欢恐怖片", "", "恐怖片"),
        ("不要恐怖片、战争片，我想看喜剧", "喜剧", "恐怖片 战争片"),
        ("讨厌恐怖片，但是喜欢悬疑", "悬疑", "恐怖片"),
        ("不喜欢恐怖片但喜欢悬疑", "悬疑", "恐怖片"),
        ("别推荐战争片", "", "战争片"),
        ("没看过歌剧，也没兴趣", "", "歌剧"),
        ("不是战争片而是喜剧", "喜剧", "战争片"),
        ("不仅喜欢科幻，还喜欢推理", "科幻 推理", ""),
        ("百看不厌的老电影", "老电影", ""),
        ("忍不住又买了手办", "手办", ""),
        ("离不开咖啡", "咖啡", ""),
        ("除了科幻，我还喜欢推理", "科幻 推理", ""),
        ("没有比爵士乐更好的了", "爵士乐", ""),
        ("别人推荐的悬疑小说真不错", "悬疑", ""),
        ("分类很细的不锈钢厨具", "厨具", ""),
        ("不喜欢爱情片、都市剧、科幻片", "", "爱情片 都市剧 科幻片"),
        ("喜欢但丁的神曲", "神曲", ""),
    ],
)
def test_a_sentence_says_yes_and_no(sentence: str, yes: str, no: str) -> None:
    clauses = split_clauses(sentence)
    for word, negative in [*((word, False) for word in yes.split()), *((word, True) for word in no.split())]:
        said = {clause.negative for clause in clauses if word in clause.text}
        assert said == {negative}, (word, clauses)


@given(st.text(alphabet="ab 不没别,，。.;！but\n", max_size=40))
def test_clauses_keep_every_letter_and_are_never_empty(text: str) -> None:
    clauses = split_clauses(text)
    assert all(clause.text.strip() for clause in clauses)
    assert bool(clauses) == bool(text.strip())
    letters = [character for clause in clauses for character in clause.text if character in "a不没别"]
    assert letters == [character for character in text if character in "a不没别"]


def test_numbers_and_names_are_not_cut() -> None:
    assert [clause.text for clause in split_clauses("Node.js 3.5 and more. Jazz!")] == [
        "Node.js 3.5",
        "more",
        "Jazz",
    ]


def test_an_item_speaks_for_its_event_and_a_text_for_itself() -> None:
    items = [{"id": "1", "title": "Alien", "domain": "films", "categories": ["Horror"]}]
    history = history_of(
        [
            {"user_id": "a", "action": "review", "item_id": "1", "text": "no westerns at all", "value": 5},
            {"user_id": "a", "action": "search", "text": "horror, not westerns"},
            {"user_id": "a", "action": "say", "text": "horror, not westerns"},
        ],
        items,
    )
    (review,), (search,), said = (entry_subjects(entry) for entry in history)
    assert (review.title, review.kinds, review.is_text) == ("Alien", ("films", "Horror"), False)
    assert (search.title, search.negative) == ("horror, not westerns", False)
    assert [(subject.title, subject.negative) for subject in said] == [
        ("horror", False),
        ("not westerns", True),
    ]


def test_a_huge_item_is_read_from_its_beginning() -> None:
    subject = item_subject(
        Item(id="1", title="x" * 10**6, description="y" * 10**6, categories=("z" * 10**6,) * 500)
    )
    assert len(repr(subject)) < 20_000


@pytest.mark.parametrize(
    ("texts", "language"),
    [
        (["Blade Runner"], "en"),
        (["银翼杀手"], "zh"),
        (["MacBook Air 13 英寸 轻薄笔记本"], "zh"),
        (["小米", "Blade Runner", "A long sentence in English about films"], "en"),
        (["Бегущий по лезвию"], "en"),
        ([], "en"),
        (["🎬🎬"], "en"),
    ],
)
def test_the_language_is_that_of_most_letters(texts: list[str], language: str) -> None:
    assert language_of(texts) == language
