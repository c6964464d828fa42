"""What a reader of a profile or a ranking is told besides."""

from __future__ import annotations

import pytest

from llmrec.behavior.events import Catalog
from llmrec.explanation.notes import displaced_note, nothing_to_rank_note
from llmrec.recommender import Recommender
from tests.builders import scoring_model

ITEM = {"id": "dune", "title": "Dune"}


class TestDisplacedEvents:
    def test_none_is_no_note(self) -> None:
        assert displaced_note([]) == []

    @pytest.mark.parametrize("ids", [["e1"], ["e1", "e2", "e3"]])
    def test_how_many_they_are_and_which_is_the_first(self, ids: list[str]) -> None:
        (note,) = displaced_note(ids)
        assert note.startswith(f"{len(ids)} event")
        assert "'e1'" in note
        assert "give each event an id of its own" in note
        assert "\n" not in note

    def test_a_profile_says_it(self) -> None:
        event = {"id": "e1", "user_id": "mei", "action": "like", "item_id": "dune"}
        with Recommender(scoring_model(), [ITEM]) as recommender:
            assert not any("share an id" in note for note in recommender.profile([event]).notes)
            assert not any("share an id" in note for note in recommender.profile([event]).notes)
            other = {**event, "action": "dislike"}
            assert displaced_note(["e1"])[0] in recommender.profile([other]).notes


class TestNothingToRank:
    def test_each_reason_says_what_to_do(self) -> None:
        assert nothing_to_rank_note(Catalog([ITEM]), []) == "there are no candidates: give at least one"
        assert nothing_to_rank_note(Catalog([]), []) == "there are no candidates: give at least one"
        assert nothing_to_rank_note(Catalog([]), None).startswith("the catalogue is empty: give")
        assert nothing_to_rank_note(Catalog([ITEM]), None).startswith("the person already knows every item")

    def test_a_ranking_says_it(self) -> None:
        event = {"id": "e1", "user_id": "mei", "action": "like", "item_id": "dune"}
        for items, candidates in (([ITEM], []), ([], None), ([ITEM], None)):
            with Recommender(scoring_model(), items) as recommender:
                profile = recommender.profile([event])
                ranking = recommender.recommend(profile, candidates=candidates)
                assert ranking.items == ()
                assert nothing_to_rank_note(recommender.catalog, candidates) in ranking.notes
        with Recommender(scoring_model(), [ITEM]) as recommender:
            ranking = recommender.recommend(recommender.profile([event]), k=1, repeats=True)
            assert len(ranking.items) == 1
            assert ranking.notes == ()
