"""What is ranked by: the events, the interests found in them, or both."""

from __future__ import annotations

from typing import Any

import pytest

from llmrec.errors import InputError
from llmrec.recommender import Recommender
from tests.builders import scoring_model
from tests.ranking.test_lexical import ITEMS, told


def ranked(basis: Any, *what: tuple[str, str]) -> tuple[Any, list[str]]:
    seen: list[str] = []

    def scores(prefix: str, continuation: str) -> float:
        seen.append(prefix)
        return -1.0

    with Recommender(scoring_model(scores), ITEMS, labelled_by_model=0) as recommender:
        profile = recommender.profile(told(*what))
        seen.clear()
        return recommender.recommend(profile, candidates=["shining", "hotel", "plenty"], basis=basis), seen


def test_the_profile_alone_knows_nothing_of_titles() -> None:
    ranking, prefixes = ranked("profile", ("like", "alien"))
    assert set(ranking[0].signals) == {"interest_words", "interests", "hints", "likelihood_ratio"}
    assert ranking[0].item.id == "shining", "it shares an interest"
    assert ranking[0].evidence.events == ()
    assert prefixes
    assert not any("Alien" in prefix for prefix in prefixes)
    assert any("Horror" in prefix for prefix in prefixes)


def test_the_profile_alone_tells_apart_what_only_a_hint_tells_apart() -> None:
    """Two films that share the area with what was liked, one of them the director as well."""
    films = [
        {"id": name, "title": title, "domain": "films", "attributes": {"director": director}}
        for name, title, director in (("a", "Uno", "Varda"), ("c", "Dos", "Wong"), ("d", "Tres", "Varda"))
    ]
    with Recommender(scoring_model(), films) as recommender:
        profile = recommender.profile([{"user_id": "p", "action": "like", "item_id": "a"}])
        best, other = recommender.recommend(profile, basis="profile")
    assert (best.item.id, other.item.id) == ("d", "c")
    assert best.signals["hints"].value > other.signals["hints"].value == 0
    assert best.signals["interests"].value == other.signals["interests"].value


def test_the_history_alone_knows_nothing_of_interests() -> None:
    ranking, prefixes = ranked("history", ("click", "alien"), ("say", "grand hotel"))
    assert set(ranking[0].signals) == {"bm25", "likelihood_ratio"}
    assert ranking[0].item.id == "hotel"
    assert not any("interested in" in prefix for prefix in prefixes)


def test_by_default_both_count() -> None:
    ranking, _ = ranked("both", ("like", "alien"))
    assert set(ranking[0].signals) == {"bm25", "interests", "likelihood_ratio"}


def test_candidates_are_named_by_id_or_given_whole() -> None:
    with Recommender(scoring_model(), ITEMS) as recommender:
        profile = recommender.profile(told(("like", "alien")))
        new = {"id": "new", "title": "New"}
        assert {placed.item.id for placed in recommender.recommend(profile, candidates=["hotel", new])} == {
            "hotel",
            "new",
        }
        with pytest.raises(InputError, match="'gone' is not in the catalogue"):
            recommender.recommend(profile, candidates=["gone"])
        with pytest.raises(InputError, match="two candidates share the id"):
            recommender.recommend(profile, candidates=["hotel", {"id": "hotel", "title": "Another"}])


def test_what_was_refused_or_removed_calls_for_nothing() -> None:
    said = [("like", "alien"), ("like", "hotel"), ("say", "no more horror films, please")]
    ranking, prefixes = ranked("both", *said)
    assert not any("Alien" in prefix for prefix in prefixes), "what is refused is not in the prompt"
    shining = next(placed for placed in ranking if placed.item.id == "shining")
    assert "e1" not in {part.id for part in shining.evidence.events}
    with Recommender(scoring_model(), ITEMS) as recommender:
        profile = recommender.profile(told(*said[:2]))
        removed = recommender.edit(profile, {"kind": "remove", "interest": "Films › Horror"})
        assert [entry.event.id for entry in removed.standing_entries] == ["e2"]
        assert [entry.event.id for entry in profile.standing_entries] == ["e1", "e2"]


def test_a_basis_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="choose among both, history, profile"):
        ranked("profil", ("like", "alien"))
    with Recommender(scoring_model(), ITEMS) as recommender:
        profile = recommender.profile(told(("like", "alien")))
        with pytest.raises(InputError, match="is not in the catalogue"):
            recommender.recommend(profile, candidates=[["hotel"]])  # type: ignore[list-item]
