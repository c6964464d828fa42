"""The example of the design: a dozen Chinese shopping events and the hierarchy that they must give."""

from __future__ import annotations

import pytest

from llmrec.llm.base import LanguageModel
from llmrec.recommender import Recommender
from tests.builders import SHOP, labels_of, scoring_model, shopper

CHINESE = {
    ("手机", "品牌", "小米"),
    ("手机", "拍照"),
    ("电脑", "系统", "macOS"),
    ("家电", "空调"),
    ("家电", "品牌", "格力"),
}
ENGLISH = {
    ("Phones", "Brand", "Xiaomi"),
    ("Phones", "Camera"),
    ("Computers", "System", "macOS"),
    ("Home appliances", "Air conditioners"),
    ("Home appliances", "Brand", "Gree"),
}


def _check(model: LanguageModel, language: str, expected: set[tuple[str, ...]]) -> None:
    with Recommender(model, SHOP, language=language) as recommender:
        profile = recommender.profile(shopper())
    hierarchy = profile.hierarchy
    assert expected <= labels_of(hierarchy)
    assert {found.label for found in hierarchy.children()} == {path[0] for path in expected}
    assert profile.language == ("zh" if ("手机",) in labels_of(hierarchy) else "en")
    assert profile.unlabelled == ()
    assert max(hierarchy.children(), key=lambda found: found.long_term).id == "phones"
    assert hierarchy["phones/brand/xiaomi"].weight > hierarchy["computers/system/macos"].weight / 2
    behind = {entry.title for entry in profile.evidence("phones/brand/xiaomi")}
    assert {"小米14手机", "小米14 手机", "红米", "红米 K70 智能手机"} <= behind
    assert {entry.title for entry in profile.evidence("phones/camera")} >= {"小米手机 拍照好", "徕卡影像手机"}
    assert {entry.title for entry in profile.evidence("computers/system/macos")} == {
        "系统 macOS 电脑",
        "MacBook Air 13 英寸",
    }


@pytest.mark.parametrize(("language", "expected"), [("auto", CHINESE), ("en", ENGLISH)])
def test_with_a_model_that_has_no_opinion(language: str, expected: set[tuple[str, ...]]) -> None:
    _check(scoring_model(), language, expected)


@pytest.mark.parametrize(("language", "expected"), [("auto", CHINESE), ("en", ENGLISH)])
def test_with_a_model_that_scores_by_words(language: str, expected: set[tuple[str, ...]]) -> None:
    _check(scoring_model(None), language, expected)


@pytest.mark.embedded
@pytest.mark.parametrize(("language", "expected"), [("auto", CHINESE), ("en", ENGLISH)])
def test_with_the_embedded_model(
    embedded_model: LanguageModel, language: str, expected: set[tuple[str, ...]]
) -> None:
    _check(embedded_model, language, expected)


@pytest.mark.embedded
def test_recommendations_go_on_where_the_shopper_stands(embedded_model: LanguageModel) -> None:
    with Recommender(embedded_model, SHOP) as recommender:
        ranking = recommender.recommend(recommender.profile(shopper()))
    assert {placed.item.id for placed in ranking} == {"x100", "mini", "tea"}, "what was bought is left out"
    assert ranking[-1].item.id == "tea"
    (mini,) = (placed for placed in ranking if placed.item.id == "mini")
    assert "computers/system/macos" in {part.id for part in mini.evidence.interests}
