"""What a log says of a catalogue, signal by signal, and how little of it is enough."""

from __future__ import annotations

import numpy as np
import pytest

from llmrec.candidates.co_occurrence import CoOccurrence
from llmrec.candidates.log import InteractionLog
from llmrec.candidates.log_signals import FEWEST_PEOPLE, LogSignals

IDS = ["rod", "reel", "lure", "pan", "oven", "手机"]
FISHING = {f"f{n}": ["rod", "reel", "lure"][n % 2 :] for n in range(12)}
COOKING = {f"c{n}": ["pan", "oven"] for n in range(10)}
LOG = InteractionLog({**FISHING, **COOKING})


def test_every_signal_of_every_item_in_the_order_of_the_items() -> None:
    scores = LogSignals(LOG, IDS).scores([("rod", 1.0)])
    assert set(scores) == {"popularity", "co_occurrence", "item_factors", "popular_factors"}
    assert all(found.shape == (len(IDS),) and np.isfinite(found).all() for found in scores.values())
    people = [6, 12, 12, 10, 10, 0]
    assert scores["popularity"] == pytest.approx(np.log1p(people), rel=1e-5)
    assert scores["co_occurrence"] == pytest.approx(CoOccurrence(LOG, IDS).scores([("rod", 1.0)]))
    for name in ("co_occurrence", "item_factors", "popular_factors"):
        found = dict(zip(IDS, scores[name], strict=True))
        assert found["reel"] > max(found["pan"], found["oven"], 1e-3), name
        assert found["手机"] == pytest.approx(0, abs=1e-6), "nobody chose it"


def test_a_greater_weight_draws_towards_its_item() -> None:
    signals = LogSignals(LOG, IDS)
    fishing, cooking = (signals.scores([("rod", a), ("pan", 1 - a)]) for a in (0.9, 0.1))
    for name in ("co_occurrence", "item_factors", "popular_factors"):
        assert fishing[name][1] > cooking[name][1]
        assert fishing[name][4] < cooking[name][4]
    assert fishing["popularity"] == pytest.approx(cooking["popularity"])


def test_without_a_history_only_popularity_speaks() -> None:
    for history in ([], [("nowhere", 1.0)]):
        scores = LogSignals(LOG, IDS).scores(history)
        assert scores["popularity"].any()
        assert not any(scores[name].any() for name in ("co_occurrence", "item_factors", "popular_factors"))


@pytest.mark.parametrize(("people", "names"), [(1, 1), (FEWEST_PEOPLE - 1, 1), (FEWEST_PEOPLE, 4)])
def test_of_few_people_only_popularity_is_told(people: int, names: int) -> None:
    log = InteractionLog({f"p{n}": ["rod", "reel"] for n in range(people)})
    scores = LogSignals(log, IDS).scores([("rod", 1.0)])
    assert len(scores) == names
    assert scores["popularity"][:3] == pytest.approx(np.log1p([people, people, 0]), rel=1e-5)


def test_a_log_of_other_items_says_nothing() -> None:
    log = InteractionLog({f"p{n}": ["x", "y", "z"] for n in range(FEWEST_PEOPLE)})
    scores = LogSignals(log, IDS).scores([("rod", 1.0), ("x", 1.0)])
    assert len(scores) == 4
    assert not any(found.any() for found in scores.values())


def test_the_order_of_the_people_changes_nothing() -> None:
    turned = InteractionLog(dict(reversed(LOG.sequences.items())))
    first, second = (LogSignals(log, IDS).scores([("rod", 1.0)]) for log in (LOG, turned))
    for name, found in first.items():
        assert found == pytest.approx(second[name], abs=1e-5), name
