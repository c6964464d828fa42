"""A model's opinion on kinds: by likelihood, or written and then checked."""

from __future__ import annotations

import math
from typing import Any

import pytest

from llmrec.interests.kind_judges import (
    ALSO,
    CHOSEN,
    LikelyKinds,
    WrittenKinds,
    kind_judge,
)
from llmrec.interests.placement import TOP, FreeLabel, place_labels
from llmrec.llm.base import Capabilities, LanguageModel
from llmrec.llm.scripted import ScriptedModel
from tests.builders import scoring_model, writing_model
from tests.interests.extraction_tools import tools_of

LABELS = {
    "f": FreeLabel("f", "Films", placed=True),
    "s": FreeLabel("s", "Science fiction", parent="f", placed=True),
    "c": FreeLabel("c", "Cyberpunk"),
    "g": FreeLabel("g", "Games"),
}
ASKED = {"c": ["s", "f", "g"], "g": ["f", "s", "c"]}


def places(*rows: tuple[int, int, list[int]]) -> dict[str, Any]:
    return {"places": [{"label": one, "broader": broad, "further": more} for one, broad, more in rows]}


def test_the_ratio_is_that_of_the_documented_formula() -> None:
    def scores(prefix: str, continuation: str) -> float:
        if "Something is a kind of" in prefix:
            return -6.0
        return -2.0 if prefix.endswith("Cyberpunk is a kind of") and "science" in continuation else -8.0

    model = scoring_model(scores)
    ratios = LikelyKinds(tools_of(model), {}).judge(LABELS, ASKED)
    tokens = model.score("x", [" science fiction"])[0].tokens
    assert ratios["c", "s"] == pytest.approx((-2.0 + 0.5 * 6.0) / math.sqrt(tokens))
    assert set(ratios) == {("c", "s"), ("c", "f"), ("c", "g"), ("g", "f"), ("g", "s"), ("g", "c")}


def test_what_is_expected_of_something_is_asked_once() -> None:
    model = scoring_model()
    LikelyKinds(tools_of(model), {}).judge(LABELS, ASKED)
    prefixes = [call.prefix for call in model.history]
    assert sum(prefix.endswith("Something is a kind of") for prefix in prefixes) == 1
    assert len(prefixes) == 3


def test_chinese_labels_are_asked_about_in_chinese() -> None:
    model = scoring_model()
    labels = {"a": FreeLabel("a", "科幻小说"), "b": FreeLabel("b", "小说")}
    prompts: dict[str, str] = {}
    LikelyKinds(tools_of(model, language="zh"), prompts).judge(labels, {"a": ["b"]})
    assert model.history[-1].prefix.endswith("科幻小说是一种")
    assert model.history[-1].continuations == ("小说",)
    assert set(prompts) == {"interests/kind_of.zh"}


def test_a_written_answer_becomes_choices() -> None:
    # Shown in the order of their paths: Cyberpunk, Films, Films > Science fiction, Games.
    model = writing_model(places((1, 3, [4]), (4, 0, [])))
    prompts: dict[str, str] = {}
    choices = WrittenKinds(tools_of(model), prompts).judge(LABELS, ASKED)
    assert choices == {("c", "s"): CHOSEN, ("c", "g"): ALSO, ("g", TOP): CHOSEN}
    asked = model.history[0].messages[-1].content
    assert "1. Cyberpunk\n2. Films\n3. Films > Science fiction\n4. Games\n" in asked
    assert "Below which of them belong these: 1, 4?" in asked
    assert set(prompts) == {"interests/place_system.en", "interests/place.en"}


def test_a_written_choice_outweighs_words_and_makes_a_further_link() -> None:
    model = writing_model(places((1, 2, [3]), (4, 0, [])))
    labels = [
        FreeLabel("g", "Ghosts"),
        FreeLabel("h", "Horror", placed=True),
        FreeLabel("i", "Interactive horror", placed=True),
        FreeLabel("z", "Old horror"),
    ]
    placed = place_labels(labels, WrittenKinds(tools_of(model), {}))
    assert placed.parents["g"] == "h"
    assert placed.parents["z"] is None
    assert placed.further == {"g": ("i",)}


def test_circles_that_a_model_writes_are_broken() -> None:
    model = writing_model(places((1, 2, []), (2, 3, []), (3, 1, [])))
    placed = place_labels(
        [FreeLabel(i, i) for i in ("Alpha", "Beta", "Gamma")], WrittenKinds(tools_of(model), {})
    )
    assert list(placed.parents.values()).count(None) == 1


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (places((1, 9, []), (4, 0, [])), "places.0.broader"),
        (places((1, 1, []), (4, 0, [])), "places.0.broader"),
        (places((1, 2, [7]), (4, 0, [])), "places.0.further"),
        (places((2, 1, []), (1, 0, []), (4, 0, [])), "places.0.label: label 2 was not asked about"),
        (places((1, 2, []), (1, 3, []), (4, 0, [])), "places.1.label: label 1 is answered twice"),
        (places((1, 2, [])), "places: label 4 is missing"),
    ],
)
def test_answers_with_wrong_numbers_are_asked_for_again(answer: dict[str, Any], fault: str) -> None:
    model = writing_model(answer, places((1, 0, []), (4, 0, [])))
    judge = WrittenKinds(tools_of(model), {})
    assert judge.judge(LABELS, ASKED) == {("c", TOP): CHOSEN, ("g", TOP): CHOSEN}
    assert fault in model.history[1].messages[-1].content
    assert not judge.failed


def test_without_a_usable_answer_words_and_closeness_decide() -> None:
    model = writing_model(*["I cannot say."] * 4)
    judge = WrittenKinds(tools_of(model), {})
    placed = place_labels([FreeLabel("i", "Indie games"), FreeLabel("g", "Games")], judge)
    assert judge.failed
    assert placed.parents == {"i": "g", "g": None}


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        (writing_model(), WrittenKinds),
        (scoring_model(), LikelyKinds),
        (ScriptedModel(), WrittenKinds),
        (
            ScriptedModel(
                capabilities=Capabilities(score=False, generate=True, structured="none", open_answers=False)
            ),
            type(None),
        ),
    ],
)
def test_the_capabilities_choose_the_judge(model: LanguageModel, kind: type) -> None:
    assert isinstance(kind_judge(tools_of(model), {}), kind)


@pytest.mark.embedded
def test_the_embedded_model_knows_a_kind_when_it_sees_one(embedded_model: LanguageModel) -> None:
    labels = {
        name: FreeLabel(name, name) for name in ("Tennis", "Sports", "Cooking", "Jazz", "Music", "Gardening")
    }
    candidates = {name: [other for other in labels if other != name] for name in ("Tennis", "Jazz")}
    ratios = LikelyKinds(tools_of(embedded_model), {}).judge(labels, candidates)
    for narrow, broad in (("Tennis", "Sports"), ("Jazz", "Music")):
        assert max(candidates[narrow], key=lambda other: ratios[narrow, other]) == broad
