"""The numbers of an interest are those of the documented formulas, worked by hand."""

from __future__ import annotations

import pytest

from llmrec.interests.numbers import fading_of, numbers_of, tier_of
from llmrec.settings import InterestNumbers
from tests.builders import DAY, NOON, history_of

LONG_TERM_ONLY = InterestNumbers(short_term_share=0)


def told(*actions: str, days: int = 0) -> list[dict[str, object]]:
    """One event an action, so many days apart, about nothing in particular."""
    return [
        {"user_id": "a", "id": f"e{n}", "action": action, "text": "x", "timestamp": NOON + n * days * DAY}
        for n, action in enumerate(actions, start=1)
    ]


def test_the_short_term_fades_with_days_and_with_later_events_whichever_is_more() -> None:
    weekly = fading_of(history_of(told("say", "say", "say", days=14)), InterestNumbers())
    assert weekly.short == pytest.approx([0.25, 0.5, 1.0]), "14 days halve"
    assert weekly.long == pytest.approx([0.5 ** (28 / 90), 0.5 ** (14 / 90), 1.0])
    dense = fading_of(history_of(told(*["say"] * 5)), InterestNumbers())
    assert dense.short[0] == pytest.approx(0.5), "four later events halve"
    assert dense.long == [1.0] * 5
    assert dense.long_total == 5
    assert dense.short_total == pytest.approx(sum(dense.short))


def test_undated_events_fade_by_their_places() -> None:
    events = [{"user_id": "a", "action": "say", "text": f"x{n}"} for n in range(9)]
    assert fading_of(history_of(events), InterestNumbers()).short[0] == pytest.approx(0.25)


def test_likes_and_dislikes_are_counted_apart() -> None:
    history = history_of(told("like", "dislike", "save"))
    found = numbers_of({0: 1.0, 1: -0.5}, history, fading_of(history, LONG_TERM_ONLY), LONG_TERM_ONLY)
    whole = 1 + 1 + 0.6
    assert (found.liked, found.disliked) == (pytest.approx(1 / whole), pytest.approx(0.5 / whole))
    assert (found.polarity, found.weight) == ("positive", found.liked)
    assert found.confidence == pytest.approx(1.0)
    turned = numbers_of({0: 0.4, 1: -1.0}, history, fading_of(history, LONG_TERM_ONLY), LONG_TERM_ONLY)
    assert (turned.polarity, turned.weight) == ("negative", pytest.approx(1 / whole))


def test_confidence_counts_the_events_that_agree_and_time_takes_nothing_of_it() -> None:
    history = history_of(told("click", "click", "return", days=400))
    found = numbers_of({0: 0.3, 1: 0.3}, history, fading_of(history, LONG_TERM_ONLY), LONG_TERM_ONLY)
    assert found.confidence == pytest.approx(1 - 0.7 * 0.7)


def test_the_weight_mixes_both_terms_and_the_horizon_says_which_is_larger() -> None:
    history = history_of(told(*["like"] * 10, days=30))
    numbers = InterestNumbers(short_term_share=0.25)
    fading = fading_of(history, numbers)
    newest = numbers_of({9: 1.0}, history, fading, numbers)
    assert newest.weight == pytest.approx(0.25 * newest.short_term + 0.75 * newest.long_term)
    assert newest.horizon == "short-term"
    oldest = numbers_of(dict.fromkeys(range(8), 1.0), history, fading, numbers)
    assert oldest.horizon == "long-term"
    assert numbers_of(dict.fromkeys(range(10), 1.0), history, fading, numbers).horizon == "both"


def test_what_later_outweighs_ends_an_interest_on_the_day_it_does() -> None:
    history = history_of(told("like", "click", "dislike", "dislike", "click", days=1))
    signed = {0: 1.0, 2: -0.7, 3: -0.7}
    found = numbers_of(signed, history, fading_of(history, LONG_TERM_ONLY), LONG_TERM_ONLY)
    assert found.polarity == "negative"
    assert found.ended is not None
    assert (found.ended.event_id, found.ended.timestamp) == ("e4", NOON + 4 * DAY)
    assert found.ended.weight == pytest.approx(
        (0.5 ** (3 / 90) - 0.7 * 0.5 ** (1 / 90))
        / (0.5 ** (3 / 90) + 0.3 * 0.5 ** (2 / 90) + 0.5 ** (1 / 90)),
        rel=1e-2,
    )
    resumed = numbers_of({**signed, 4: 1.0}, history, fading_of(history, LONG_TERM_ONLY), LONG_TERM_ONLY)
    assert (resumed.polarity, resumed.ended) == ("positive", None)


def test_what_was_never_liked_cannot_end() -> None:
    history = history_of(told("dislike", "dislike"))
    found = numbers_of({0: -1.0, 1: -1.0}, history, fading_of(history, LONG_TERM_ONLY), LONG_TERM_ONLY)
    assert (found.polarity, found.ended) == ("negative", None)


def test_a_refusal_takes_back_all_that_was_liked_before() -> None:
    history = history_of(told(*["like"] * 9, "say"))
    signed = dict.fromkeys(range(9), 1.0)
    found = numbers_of(signed, history, fading_of(history, LONG_TERM_ONLY), LONG_TERM_ONLY, refused_at=9)
    assert (found.polarity, found.liked) == ("negative", 0.0)
    assert found.ended is not None
    assert found.ended.event_id == "e10"
    assert found.ended.weight == pytest.approx(1.0)


def test_tiers() -> None:
    numbers = InterestNumbers(
        core_weight=0.1, core_support=3, core_confidence=0.8, regular_weight=0.05, regular_support=2
    )

    def tier(long_term: float, support: int, confidence: float = 0.9, *, pinned: bool = False) -> str:
        return tier_of(
            long_term=long_term, confidence=confidence, support=support, pinned=pinned, numbers=numbers
        )

    assert tier(0.1, 3) == "core"
    assert tier(0.1, 3, 0.7) == "regular"
    assert tier(0.09, 3) == "regular"
    assert tier(0.1, 2) == "regular"
    assert tier(0.04, 9) == "occasional"
    assert tier(0.9, 1) == "occasional"
    assert tier(0.0, 1, pinned=True) == "core"
