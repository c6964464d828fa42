"""Which question is asked next, and when none is."""

from __future__ import annotations

import time

import numpy as np
import pytest

from llmrec.behavior.events import Item
from llmrec.interests.edits import Remove
from llmrec.interests.neighbourhood import Neighbourhood
from llmrec.interests.profile import InterestProfile
from llmrec.interests.taxonomy import Vocabulary
from llmrec.prompting.templates import PromptLibrary
from llmrec.ranking import questions
from llmrec.ranking.catalog_interests import CatalogInterests
from llmrec.ranking.interview import NO, NO_OPINION, YES, Question, answer_events, with_answers
from llmrec.ranking.lexical import InterestMatcher
from llmrec.ranking.questions import answer_chances, expected_changes, next_question, open_questions
from tests.interests.made_profiles import made_profile
from tests.ranking.test_catalog_interests import VOCABULARY, film

# Ten films: half of horror, two of them of zombies; one of war.
FILMS = [
    *(film(number, "Horror") for number in range(3)),
    *(film(number, "Horror", "Zombies") for number in (3, 4)),
    film(5, "War"),
    *(film(number) for number in range(6, 10)),
]
MATCHER = InterestMatcher(VOCABULARY)
CATALOG = CatalogInterests(FILMS, MATCHER, VOCABULARY)
LIBRARY = PromptLibrary()
NOBODY = made_profile([], [])


def ask(profile: InterestProfile = NOBODY, *asked: str, language: str | None = None) -> Question | None:
    return next_question(
        profile, CATALOG, vocabulary=VOCABULARY, library=LIBRARY, asked=asked, language=language
    )


def answered(question: Question | None, answer: str, profile: InterestProfile = NOBODY) -> InterestProfile:
    assert question is not None
    return with_answers(profile, answer_events(question, answer, profile.user_id))


def scores(profile: InterestProfile) -> list[float]:
    """Ranking by interests, an item belonging to each or not."""
    found = []
    for item in FILMS:
        parts = MATCHER.contributions(profile.hierarchy, item)
        found.append(sum(profile.hierarchy[part.id].balance for part in parts))
    return found


def kendall(before: list[float], after: list[float]) -> float:
    """Kendall's distance with ties, pair by pair."""
    cost, pairs = 0.0, 0
    for one in range(len(before)):
        for other in range(one):
            first = np.sign(round(before[one] - before[other], 6))
            second = np.sign(round(after[one] - after[other], 6))
            cost += abs(first - second) / 2
            pairs += 1
    return cost / pairs


def test_the_first_question_parts_the_catalogue_best() -> None:
    question = ask()
    assert question is not None
    assert question.id == "films/horror"
    assert question.text == "Are you interested in Horror (Films)?"
    assert question.interests == ("films/horror", "films/horror/zombies")
    assert [answer.id for answer in question.answers] == [YES, "films/horror/zombies", NO, NO_OPINION]
    assert [answer.text for answer in question.answers] == [
        "Yes, all of it",
        "Above all Zombies",
        "No",
        "No opinion",
    ]


def test_the_expected_change_is_that_of_the_true_rankings() -> None:
    columns = list(range(len(CATALOG.ids)))
    found = expected_changes(NOBODY, CATALOG, columns, Neighbourhood(VOCABULARY))
    yes, no = answer_chances(NOBODY, CATALOG, columns, Neighbourhood(VOCABULARY))
    for column in columns:
        question = questions.make_question(
            CATALOG.ids[column], CATALOG, vocabulary=VOCABULARY, library=LIBRARY, language="en"
        )
        after_yes = kendall(scores(NOBODY), scores(answered(question, YES)))
        after_no = kendall(scores(NOBODY), scores(answered(question, NO)))
        assert found[column] == pytest.approx(yes[column] * after_yes + no[column] * after_no, abs=1e-6)


def test_what_an_answer_changes_later_is_worked_out_from_what_is_known() -> None:
    """With one answer given, the weights that a further answer would make are nearly those it does make."""
    horror = answered(ask(), YES)
    columns = [CATALOG.ids.index("films/war")]
    near = Neighbourhood(VOCABULARY)
    yes, no = answer_chances(horror, CATALOG, columns, near)
    question = questions.make_question(
        "films/war", CATALOG, vocabulary=VOCABULARY, library=LIBRARY, language="en"
    )
    true = yes[0] * kendall(scores(horror), scores(answered(question, YES, horror)))
    true += no[0] * kendall(scores(horror), scores(answered(question, NO, horror)))
    assert expected_changes(horror, CATALOG, columns, near)[0] == pytest.approx(true, abs=0.02)


def test_what_was_asked_or_is_known_is_not_asked_again() -> None:
    first = ask()
    assert first is not None
    second = ask(NOBODY, first.id)
    assert second is not None
    assert second.id != first.id
    after = ask(answered(first, YES))
    assert after is not None
    assert after.id not in {"films", "films/horror"}


def test_nothing_below_a_no_or_a_removed_interest_is_asked() -> None:
    refused = answered(ask(), NO)
    assert refused.hierarchy["films/horror"].polarity == "negative"
    question = ask(refused)
    assert question is None or not question.id.startswith("films/horror")
    liked = answered(ask(), YES).edited(Remove(interest="films/horror"))
    question = ask(liked)
    assert question is None or not question.id.startswith("films/horror")


def test_what_is_known_weakly_may_be_asked_about() -> None:
    column = CATALOG.ids.index("films/horror")
    glance = made_profile([{"item_id": "f0", "action": "view"}], [["films/horror"]])
    bought = made_profile([{"item_id": "f0", "action": "purchase"}], [["films/horror"]])
    assert column in open_questions(glance, CATALOG, VOCABULARY)
    assert column not in open_questions(bought, CATALOG, VOCABULARY)


def test_questions_end_when_they_no_longer_pay() -> None:
    profile, asked = NOBODY, []
    while (question := ask(profile, *asked)) is not None:
        assert question.expected_change >= questions.LEAST_CHANGE
        asked.append(question.id)
        profile = answered(question, YES, profile)
    assert asked
    assert len(set(asked)) == len(asked)
    # That all films are films changes no order.
    assert "films" not in asked


def test_nothing_is_asked_about_an_empty_or_uniform_catalogue() -> None:
    for items in ([], [film(1, "Horror"), film(2, "Horror")]):
        catalog = CatalogInterests(items, InterestMatcher(VOCABULARY), VOCABULARY)
        assert next_question(NOBODY, catalog, vocabulary=VOCABULARY, library=LIBRARY) is None


def test_a_yes_is_likelier_near_what_the_person_likes() -> None:
    columns = [CATALOG.ids.index("films/horror/zombies"), CATALOG.ids.index("films/war")]
    near = Neighbourhood(VOCABULARY)
    before, no_before = answer_chances(NOBODY, CATALOG, columns, near)
    yes, no = answer_chances(answered(ask(), YES), CATALOG, columns, near)
    odds, odds_before = yes / no, before / no_before
    assert odds[0] / odds_before[0] > odds[1] / odds_before[1] > 1
    assert (yes + no < 1).all()
    assert (no > 0).all()


def test_a_narrower_interest_is_asked_about_after_the_broader_one() -> None:
    def open_ids(profile: InterestProfile, *asked: str) -> set[str]:
        return {CATALOG.ids[column] for column in open_questions(profile, CATALOG, VOCABULARY, asked)}

    assert open_ids(NOBODY) == {"films/horror", "films/war"}
    assert open_ids(NOBODY, "films/horror") == {"films/horror/zombies", "films/war"}
    assert open_ids(answered(ask(), YES)) == {"films/horror/zombies", "films/war"}


def test_in_chinese() -> None:
    vocabulary = Vocabulary.load()
    items = [
        Item(id=f"a{number}", title=title, language="zh", categories=tuple(kinds))
        for number, (title, kinds) in enumerate(
            [("小米14", ["手机"]), ("格力空调", ["空调"]), ("美的空调", ["空调"]), ("红米", ["手机"])]
        )
    ]
    catalog = CatalogInterests(items, InterestMatcher(vocabulary), vocabulary)
    nobody = made_profile([], [], language="zh")
    question = next_question(nobody, catalog, vocabulary=vocabulary, library=LIBRARY)
    assert question is not None
    assert question.text.startswith("你对")
    profile = with_answers(nobody, answer_events(question, "不喜欢", "ana"))
    assert profile.hierarchy[question.id].polarity == "negative"


def test_ten_thousand_items_take_less_than_a_second() -> None:
    vocabulary = Vocabulary.load()
    labels = [node.en for node in vocabulary if node.attribute is None][:400]
    items = [
        Item(id=str(number), title=f"Thing {number}", categories=(labels[number % 400],))
        for number in range(10_000)
    ]
    catalog = CatalogInterests(items, InterestMatcher(vocabulary), vocabulary)
    near = Neighbourhood(vocabulary)
    began = time.process_time()
    assert next_question(NOBODY, catalog, vocabulary=vocabulary, library=LIBRARY, neighbourhood=near)
    assert time.process_time() - began < 1.0
