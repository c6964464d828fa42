"""The six people of the sample as a reader of their events judges them, with the embedded model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from llmrec.interests.profile import InterestProfile
from llmrec.llm.base import LanguageModel
from llmrec.ranking.types import RankedItem, Ranking
from llmrec.recommender import Recommender
from tests.builders import events_of, sample

pytestmark = pytest.mark.embedded


@dataclass(frozen=True)
class Judgement:
    """What a reader expects of a person."""

    broad: set[str]
    """Areas that must be among the heaviest: as many are looked at as there are here, and one more."""
    narrow: set[str]
    """Interests further down that must be there, and be liked."""
    not_wanted: set[str]
    """Words of categories of which not one may be among the ten best."""
    wanted: Callable[[RankedItem], bool]
    """Whether a recommended item suits the person; at least eight of ten must."""


def in_domain(*domains: str) -> Callable[[RankedItem], bool]:
    return lambda placed: placed.item.domain in domains


def of_kind(*words: str) -> Callable[[RankedItem], bool]:
    return lambda placed: any(word in category for category in placed.item.categories for word in words)


PEOPLE = {
    "mara": Judgement(
        broad={"books", "films"},
        narrow={"books/science-fiction", "books/historical-fiction", "films/science-fiction"},
        not_wanted={"Cookbooks", "Self-help", "Headphones", "Shooters"},
        wanted=in_domain("books", "films"),
    ),
    "tom": Judgement(
        broad={"audio", "cameras", "kitchen"},
        narrow={"audio/headphones", "kitchen/coffee-gear", "kitchen/coffee-gear/grinders"},
        not_wanted={"Horror", "Cookbooks", "Science fiction"},
        wanted=of_kind("Audio", "Coffee", "Photography", "Cameras", "Headphones", "Turntables"),
    ),
    "ines": Judgement(
        broad={"games"},
        narrow={"games/simulation", "games/farming"},
        not_wanted={"Shooters", "Survival horror", "Horror"},
        wanted=in_domain("games"),
    ),
    "priya": Judgement(
        broad={"cooking", "books"},
        narrow={"books/crime", "cooking/fruit-vegetables"},
        not_wanted={"Shooters", "Horror", "Headphones"},
        wanted=of_kind("Cook", "Mystery", "Crime", "Detective"),
    ),
    "owen": Judgement(
        broad={"books", "outdoors"},
        narrow={
            "cooking/fruit-vegetables",
            "outdoors/camping",
            "books/lifestyle/cookbooks",
            "books/lifestyle/gardening-books",
            "kitchen/cookware",
            "gardening",
        },
        not_wanted={"Shooters", "Survival horror", "Horror"},
        wanted=of_kind("Garden", "Cook", "Nature", "Outdoors", "Camping", "Popular science"),
    ),
    "linxiao": Judgement(
        broad={"appliances", "phones", "books", "films", "kitchen"},
        narrow={"phones/brand/xiaomi", "phones/camera", "books/science-fiction", "films/science-fiction"},
        not_wanted={"Shooters", "Cookbooks", "恋爱"},
        wanted=lambda placed: placed.item.language == "zh",
    ),
}


@pytest.fixture(scope="module")
def told(embedded_model: LanguageModel) -> Callable[[str], tuple[InterestProfile, Ranking]]:
    """The profile and the ranking of a person, made once."""
    recommender = Recommender(embedded_model, sample("items"), candidates=24, labelled_by_model=12)
    known: dict[str, tuple[InterestProfile, Ranking]] = {}

    def tell(person: str) -> tuple[InterestProfile, Ranking]:
        if person not in known:
            profile = recommender.profile(events_of(person))
            known[person] = profile, recommender.recommend(profile)
        return known[person]

    return tell


Told = Callable[[str], tuple[InterestProfile, Ranking]]


@pytest.mark.parametrize("person", PEOPLE)
def test_the_interests_are_those_a_reader_sees(told: Told, person: str) -> None:
    profile, _ = told(person)
    expected = PEOPLE[person]
    tops = sorted(
        (top for top in profile.hierarchy.children() if top.polarity == "positive"),
        key=lambda top: -top.weight,
    )
    assert expected.broad <= {top.id for top in tops[: len(expected.broad) + 1]}, profile.tree()
    for interest_id in expected.narrow:
        assert interest_id in profile.hierarchy, profile.tree()
        assert profile.hierarchy[interest_id].polarity == "positive"


@pytest.mark.parametrize("person", PEOPLE)
def test_the_ten_best_suit_the_person(told: Told, person: str) -> None:
    _, ranking = told(person)
    expected = PEOPLE[person]
    assert len(ranking) == 10
    titles = [placed.item.title for placed in ranking]
    assert sum(expected.wanted(placed) for placed in ranking) >= 8, titles
    # The last of ten may be near in words and meaning and still of a kind that nobody would choose here.
    for placed in ranking[:9]:
        assert not expected.not_wanted & set(placed.item.categories), titles


def test_what_a_person_left_behind_no_longer_counts(told: Told) -> None:
    """Owen's half a year of horror and shooters, followed by skips and a dislike."""
    profile, _ = told("owen")
    games = profile.hierarchy["games"]
    assert games.support >= 10
    assert games.polarity == "negative" or games.weight < 0.05
    taken_up = ("kitchen", "cooking", "gardening", "outdoors")
    assert sum(profile.hierarchy[area].balance for area in taken_up) > 3 * games.balance
    assert profile.hierarchy["books"].weight > 5 * profile.hierarchy["films/horror"].weight


def test_a_single_sentence_is_enough_to_begin_with(told: Told) -> None:
    profile, ranking = told("priya")
    assert len(profile.entries) == 1
    domains = {placed.item.domain for placed in ranking}
    assert of_kind("Cook")(ranking[0]) or of_kind("Mystery", "Crime")(ranking[0])
    assert "books" in domains
    assert any(of_kind("Mystery", "Crime")(placed) for placed in ranking)
    assert any(of_kind("Cook")(placed) for placed in ranking)


def test_the_chinese_reader_is_answered_in_chinese(told: Told) -> None:
    profile, ranking = told("linxiao")
    assert profile.language == "zh"
    assert profile.hierarchy["phones/brand/xiaomi"].label == "小米"
    assert {"phones", "appliances", "books", "films"} <= {top.id for top in profile.hierarchy.children()}
    assert all(any("\u4e00" <= letter <= "\u9fff" for letter in placed.why) for placed in ranking)
