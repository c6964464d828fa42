"""What is predicted, from which source, and what never is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.errors import InputError, ModelError
from llmrec.interests.anticipation import (
    SOURCE_WEIGHTS,
    WEIGHTS_ALONE,
    OtherPeople,
    PredictedInterest,
    anticipate,
    candidate_interests,
    people_scores,
)
from llmrec.interests.edits import Merge, Remove
from llmrec.interests.neighbourhood import Neighbourhood, own_interests
from llmrec.interests.profile import InterestProfile
from llmrec.interests.taxonomy import Vocabulary, VocabularyNode
from llmrec.llm.base import LanguageModel
from llmrec.llm.scripted import ScriptedModel
from tests.builders import scoring_model, writing_model
from tests.interests.extraction_tools import tools_of
from tests.interests.made_profiles import made_profile

VOCABULARY = Vocabulary(
    [
        VocabularyNode(id="films", en="Films", zh="电影"),
        VocabularyNode(id="films/horror", parent="films", en="Horror", zh="恐怖"),
        VocabularyNode(id="films/horror/zombies", parent="films/horror", en="Zombies", zh="丧尸"),
        VocabularyNode(id="films/horror/ghosts", parent="films/horror", en="Ghosts", zh="鬼魂"),
        VocabularyNode(id="films/war", parent="films", en="War", zh="战争"),
        VocabularyNode(id="films/director", parent="films", en="Directors", attribute="director"),
        VocabularyNode(id="music", en="Music", zh="音乐"),
        VocabularyNode(id="music/jazz", parent="music", en="Jazz", zh="爵士"),
        VocabularyNode(id="music/rock", parent="music", en="Rock", zh="摇滚"),
        VocabularyNode(id="garden", en="Garden", zh="园艺"),
    ]
)


def person(user_id: str, *liked: str, disliked: tuple[str, ...] = (), **fields: Any) -> InterestProfile:
    events = [{"text": path, "action": "say"} for path in liked]
    events += [{"item_id": path, "action": "dislike"} for path in disliked]
    paths = [[path] for path in (*liked, *disliked)]
    return made_profile(events, paths, user_id=user_id, **fields)


def ids(predicted: list[PredictedInterest]) -> list[str]:
    return [one.id for one in predicted]


def predict(profile: InterestProfile, **options: Any) -> list[PredictedInterest]:
    return anticipate(profile, vocabulary=VOCABULARY, **options)[0]


def test_the_neighbourhood_comes_with_its_area_and_says_what_it_rests_on() -> None:
    found = predict(person("ana", "films/horror/zombies"), k=3)
    assert ids(found) == ["films/horror/ghosts", "films/war"]
    assert found[0].path == ("Films", "Horror", "Ghosts")
    assert found[0].label == "Ghosts"
    assert set(found[0].sources) == {"neighbourhood"}
    assert found[0].inferred_from[0] == "films/horror"
    assert found[0].score == pytest.approx(sum(found[0].sources.values()))
    assert found[0].similar_people == 0


def test_dislikes_push_their_neighbourhood_away() -> None:
    liked = person("ana", "films/horror", "music/jazz")
    mixed = person("ana", "music/jazz", disliked=("films/horror",))
    assert "films/horror/zombies" in ids(predict(liked))
    assert ids(predict(mixed)) == ["music/rock"]


def test_what_people_with_like_interests_hold_is_predicted_from_what_is_shared() -> None:
    others = [
        person("bo", "music/jazz", "garden"),
        person("cy", "music/jazz", "garden"),
        person("di", "films/war", "music/rock"),
        person("ed", "films/war", "music/rock"),
    ]
    found = predict(person("ana", "music/jazz"), people=others)
    garden = next(one for one in found if one.id == "garden")
    assert found[0].id == "garden"
    assert garden.sources == {"people": pytest.approx(SOURCE_WEIGHTS["people"])}
    assert garden.similar_people == 2
    assert set(garden.inferred_from) == {"music", "music/jazz"}
    dumped = repr([one.model_dump() for one in found])
    assert not any(f"'{other.user_id}'" in dumped for other in others)


def test_what_a_single_other_person_holds_counts_nothing() -> None:
    others = [person("bo", "music/jazz", "garden"), person("cy", "music/jazz", "films/war")]
    assert "garden" not in ids(predict(person("ana", "music/jazz"), people=others))


def test_the_persons_own_profile_is_nobody_else() -> None:
    me = person("ana", "music/jazz", "garden")
    assert predict(person("ana", "music/jazz"), people=[me, me]) == predict(person("ana", "music/jazz"))


def test_people_who_dislike_what_is_liked_do_not_speak() -> None:
    others = [person(name, "garden", disliked=("music/jazz",)) for name in ("bo", "cy")]
    me = person("ana", "music/jazz")
    own, candidates = own_interests(me, VOCABULARY), candidate_interests(me, VOCABULARY)
    people = OtherPeople.of(others, VOCABULARY)
    assert not people_scores("ana", own, candidates, people, Neighbourhood(VOCABULARY)).values.any()


def test_the_model_tips_the_balance_and_is_asked_about_the_best_alone() -> None:
    def prefers_ghosts(prefix: str, continuation: str) -> float:
        return -1.0 if continuation == " ghosts" and "zombies" in prefix.lower() else -9.0

    model = scoring_model(prefers_ghosts)
    me = person("ana", "films/horror/zombies", "music/jazz")
    without = ids(predict(me))
    found, prompts = anticipate(me, vocabulary=VOCABULARY, tools=tools_of(model))
    assert ids(found)[0] == "films/horror/ghosts"
    assert found[0].sources["model"] > 0
    assert list(prompts) == ["interests/next.en"]
    calls = model.history
    assert [call.prefix for call in calls] == [
        "Interests of one person: Zombies, Jazz,",
        "Interests of one person:",
    ]
    assert set(calls[0].continuations) == {f" {VOCABULARY[i].en.lower()}" for i in without}


def test_in_chinese_labels_and_prompt_are_chinese() -> None:
    model = scoring_model()
    names = {"films/horror": "恐怖", "films": "电影"}
    me = person("ana", "films/horror", language="zh", names=names)
    found, prompts = anticipate(me, vocabulary=VOCABULARY, tools=tools_of(model, language="zh"))
    assert found[0].path[0] == "电影"
    assert model.history[0].prefix == "一个人的兴趣：恐怖、"
    assert "丧尸" in model.history[0].continuations
    assert list(prompts) == ["interests/next.zh"]


def test_a_model_that_cannot_score_is_not_asked() -> None:
    model = writing_model()
    assert predict(person("ana", "music/jazz"), tools=tools_of(model)) == predict(person("ana", "music/jazz"))
    assert model.history == []


def test_a_failure_of_the_model_is_not_hidden() -> None:
    class Broken(ScriptedModel):
        def score(self, *arguments: Any, **options: Any) -> Any:
            raise ModelError("gone")

    with pytest.raises(ModelError, match="gone"):
        predict(person("ana", "music/jazz"), tools=tools_of(Broken()))


def test_nothing_shown_faded_removed_merged_or_ended_is_predicted() -> None:
    me = person("ana", "films/horror", "music/jazz", "films/war")
    removed = me.edited(Remove(interest="films/horror"))
    assert {"films/horror", "films/horror/zombies", "films/horror/ghosts"}.isdisjoint(
        ids(predict(removed, k=9))
    )
    merged = me.edited(Merge(interest="music/jazz", into="music"))
    assert "music/jazz" not in ids(predict(merged, k=9))
    refused = made_profile(
        [{"item_id": "a", "action": "like"}, {"item_id": "b", "action": "dislike"}],
        [["films/horror", "music/jazz"], ["films/horror"]],
    )
    assert refused.hierarchy["films/horror"].polarity == "negative"
    assert refused.ended
    assert {"films/horror/zombies", "films/horror/ghosts"}.isdisjoint(ids(predict(refused, k=9)))


def test_places_for_facts_are_never_predicted() -> None:
    found = predict(person("ana", "films/horror"), k=99)
    assert "films/director" not in ids(found)
    assert "films/war" in ids(found)


@pytest.mark.parametrize("profile", [made_profile([], []), person("ana", disliked=("films/horror",))])
def test_nothing_is_predicted_for_who_likes_nothing(profile: InterestProfile) -> None:
    assert anticipate(profile, vocabulary=VOCABULARY, tools=tools_of(scoring_model())) == ([], {})


def test_k_is_at_least_one() -> None:
    with pytest.raises(InputError, match="k is 0: ask for at least one"):
        predict(person("ana", "music/jazz"), k=0)


paths = st.sampled_from([node.id for node in VOCABULARY if node.attribute is None])


@given(st.lists(paths, max_size=4), st.lists(st.lists(paths, min_size=1, max_size=4), max_size=4))
def test_predictions_are_new_ordered_and_change_nothing(mine: list[str], theirs: list[list[str]]) -> None:
    me = person("ana", *dict.fromkeys(mine))
    others = [person(f"p{at}", *dict.fromkeys(held)) for at, held in enumerate(theirs)]
    before = me.model_dump_json()
    found = predict(me, people=others, k=99)
    assert me.model_dump_json() == before
    held = {one.id for one in me.interests}
    assert held.isdisjoint(ids(found))
    assert all(set(one.inferred_from) <= held for one in found)
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)
    assert all(score > 0 for score in scores)
    assert predict(me, people=list(reversed(others)), k=99) == found
    assert ids(predict(me, people=others, k=2)) == ids(found)[:2]


@pytest.mark.parametrize("weights", [SOURCE_WEIGHTS, WEIGHTS_ALONE])
def test_weights_sum_to_one(weights: Mapping[str, float]) -> None:
    assert np.isclose(sum(weights.values()), 1)
    assert WEIGHTS_ALONE["people"] == 0


def test_where_others_speak_a_model_that_would_count_nothing_is_not_asked() -> None:
    model = scoring_model()
    others = [person("bo", "music/jazz", "garden"), person("cy", "music/jazz", "garden")]
    found = predict(person("ana", "music/jazz"), people=others, tools=tools_of(model))
    assert found[0].id == "garden"
    assert bool(model.history) == (SOURCE_WEIGHTS["model"] > 0)


def test_numbers_of_the_sources_by_hand() -> None:
    """Ana holds music and jazz alike; bo and cy hold the same and garden; dee holds garden alone."""
    me = person("ana", "music/jazz")
    others = [
        person("bo", "music/jazz", "garden"),
        person("cy", "music/jazz", "garden"),
        person("dee", "garden"),
    ]
    own, candidates = own_interests(me, VOCABULARY), candidate_interests(me, VOCABULARY)
    found = people_scores(
        "ana", own, candidates, OtherPeople.of(others, VOCABULARY), Neighbourhood(VOCABULARY)
    )
    at = [node.id for node in candidates].index("garden")
    assert found.people is not None
    assert found.people[at] == 2
    # The only candidate that anybody holds sets the scale, and both of ana's interests carry all of it.
    assert found.values[at] == 1
    assert np.count_nonzero(found.values) == 1
    assert found.carried[at].sum() == pytest.approx(1)


@pytest.mark.embedded
def test_with_the_real_model_and_the_shipped_vocabulary(embedded_model: LanguageModel) -> None:
    from llmrec.llm.registry import open_embedder
    from llmrec.settings import load_settings

    pytest.importorskip("wordllama")
    vocabulary = Vocabulary.load()
    me = made_profile(
        [{"text": "a", "action": "say"}, {"text": "b", "action": "say"}],
        [["films/science-fiction/cyberpunk"], ["films/science-fiction/space-opera"]],
        names={"films": "Films", "films/science-fiction": "Science fiction"},
    )
    tools = tools_of(embedded_model, embedder=open_embedder(None, load_settings()))
    found, _ = anticipate(me, vocabulary=vocabulary, tools=tools)
    assert len(found) == 5
    assert all(one.id.startswith("films/") for one in found)
    assert sum(one.id.startswith("films/science-fiction/") for one in found) >= 2
    assert all(one.inferred_from for one in found)


def test_strangers_who_say_nothing_of_any_candidate_change_nothing() -> None:
    me = person("ana", "films/horror/zombies", "music/jazz")
    asked = scoring_model()
    alone = predict(me, tools=tools_of(scoring_model()))
    stranger = person("bo", "garden")
    # Alike, but what each of them holds besides is held by nobody else.
    alike = person("cy", "music/jazz", "music/rock")
    assert predict(me, people=[stranger, alike], tools=tools_of(asked)) == alone
    assert asked.history
