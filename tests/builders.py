"""Small worlds that several rooms of tests share: models with a script, and a Chinese shopping history."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

from llmrec.behavior.cleaning import CleaningReport
from llmrec.behavior.events import Catalog, Event, History, HistoryEntry
from llmrec.behavior.strength import build_history
from llmrec.interests.extraction import EventLabel, EventReading, PathStep
from llmrec.interests.hierarchy import Evidence, Interest, InterestHierarchy
from llmrec.interests.profile import InterestProfile
from llmrec.llm.base import Capabilities
from llmrec.llm.scripted import ScriptedModel, ScriptedScores
from llmrec.settings import Settings

DAY = 86_400
NOON = 1_750_000_000

SCORES_ONLY = Capabilities(score=True, generate=False, structured="none", open_answers=False)
WRITES_ONLY = Capabilities(score=False, generate=True, structured="json_schema", open_answers=True)


def indifferent(prefix: str, continuation: str) -> float:
    """The score of a model that has no opinion."""
    return -1.0


def scoring_model(scores: ScriptedScores | None = indifferent, **options: Any) -> ScriptedModel:
    """A model that can only score, as the embedded one in effect; indifferent unless told."""
    return ScriptedModel(scores=scores, capabilities=SCORES_ONLY, **options)


def writing_model(*answers: Any, **options: Any) -> ScriptedModel:
    """A model that writes and gives no log-probabilities, as a hosted one."""
    return ScriptedModel(*answers, capabilities=WRITES_ONLY, **options)


def label(path: str, share: float = 1.0, **options: bool) -> EventLabel:
    """A label whose ids are the path so far: `films/horror`."""
    parts = path.split("/")
    steps = tuple(PathStep("/".join(parts[: at + 1]), part.capitalize()) for at, part in enumerate(parts))
    return EventLabel(steps, share, **options)


def readings(*labels: EventLabel | Sequence[EventLabel]) -> list[EventReading]:
    """One reading an argument: of one label, or of several."""
    return [
        EventReading(labels=(found,) if isinstance(found, EventLabel) else tuple(found)) for found in labels
    ]


def profile_from(
    entries: Sequence[HistoryEntry], found: Sequence[EventReading], **fields: Any
) -> InterestProfile:
    """The profile of a history and its readings, as a Recommender makes it."""
    return InterestProfile(
        **{
            "user_id": entries[0].event.user_id if entries else "a",
            "hierarchy": InterestHierarchy(),
            "entries": tuple(entries),
            "readings": tuple(found),
            "language": "en",
            "strategy": "anchored",
            "model": "test",
            "report": CleaningReport(),
            **fields,
        }
    ).computed()


def history_of(
    events: Sequence[Event | Mapping[str, Any]], items: Sequence[Mapping[str, Any]] = (), **options: Any
) -> History:
    """The history of the person of the first event."""
    given = [Event.model_validate(event) for event in events]
    return build_history(given[0].user_id, given, Catalog(items), Settings(**options))


def interest(interest_id: str, *event_ids: str, **fields: Any) -> Interest:
    """An interest whose parent and level follow from its id, `films/horror` below `films`."""
    side = "disliked" if fields.get("polarity") == "negative" else "liked"
    parent = interest_id.rpartition("/")[0] or None
    return Interest(
        **{
            "id": interest_id,
            "label": interest_id.rpartition("/")[2].capitalize(),
            "parent_id": parent,
            "level": interest_id.count("/") + 1,
            "weight": 0.5,
            side: fields.get("weight", 0.5),
            "confidence": 0.5,
            "evidence": tuple(Evidence(event_id=event_id, share=1.0) for event_id in event_ids or ("e1",)),
            **fields,
        }
    )


def labels_of(hierarchy: InterestHierarchy) -> set[tuple[str, ...]]:
    """The path of every interest, by labels."""
    return {hierarchy.path(found.id) for found in hierarchy.interests}


def weights_by_hand(profile: InterestProfile, interest_id: str) -> tuple[float, float]:
    """Weight and confidence from the documented formulas, for likes alone, one a day or undated."""
    last = len(profile.entries) - 1
    stamps = [entry.event.timestamp or 0.0 for entry in profile.entries]
    shares = {e.event_id: e.share for e in profile.hierarchy[interest_id].evidence}
    terms, doubt = [], 1.0
    for days, events in ((profile.half_life_days, 1e9), (14.0, 4.0)):
        decays = [
            0.5 ** max((max(stamps) - stamp) / DAY / days, (last - at) / events)
            for at, stamp in enumerate(stamps)
        ]
        of = [entry.strength * decay for entry, decay in zip(profile.entries, decays, strict=True)]
        mass = sum(s * shares.get(e.event.id, 0.0) for s, e in zip(of, profile.entries, strict=True))
        terms.append(mass / sum(of))
    for entry in profile.entries:
        doubt *= 1 - entry.strength * shares.get(entry.event.id, 0.0)
    return sum(terms) / 2, 1 - doubt


def sample(name: str) -> list[dict[str, Any]]:
    """The records of a file of the sample that llmrec carries: items or events."""
    text = resources.files("llmrec.sample").joinpath(f"{name}.jsonl").read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()]


def events_of(person: str) -> list[dict[str, Any]]:
    """The events of one of the sample's people."""
    return [event for event in sample("events") if event["user_id"] == person]


SHOP: list[dict[str, Any]] = [
    {
        "id": "mi14",
        "title": "小米14 手机",
        "description": "小屏旗舰，徕卡影像，一只手就能用。",
        "categories": ["手机", "拍照手机"],
        "attributes": {"brand": "小米", "system": "HyperOS"},
    },
    {
        "id": "redmi",
        "title": "红米 K70 智能手机",
        "description": "性价比高，续航好。",
        "categories": ["手机"],
        "attributes": {"brand": "小米"},
    },
    {
        "id": "x100",
        "title": "vivo X100 蔡司影像手机",
        "categories": ["手机", "拍照手机"],
        "attributes": {"brand": "vivo"},
    },
    {
        "id": "air",
        "title": "MacBook Air 13 英寸",
        "description": "轻薄笔记本电脑，安静无风扇。",
        "categories": ["电脑", "笔记本电脑"],
        "attributes": {"brand": "苹果", "system": "macOS"},
    },
    {
        "id": "mini",
        "title": "Mac mini 台式机",
        "categories": ["电脑", "台式机"],
        "attributes": {"brand": "苹果", "system": "macOS"},
    },
    {
        "id": "gree",
        "title": "格力空调 1.5匹 变频",
        "description": "卧室用，安静省电。",
        "categories": ["家电", "空调"],
        "attributes": {"brand": "格力"},
    },
    {
        "id": "midea",
        "title": "美的空调 大1匹",
        "categories": ["家电", "空调"],
        "attributes": {"brand": "美的"},
    },
    {"id": "tea", "title": "紫砂茶壶", "categories": ["茶具"]},
]


def shopper(user_id: str = "xiaoyu") -> list[dict[str, Any]]:
    """A dozen searches and purchases of phones, computers and air conditioners."""
    told: list[tuple[str, str]] = [
        ("search", "小米14手机"),
        ("view", "mi14"),
        ("search", "小米手机 拍照好"),
        ("purchase", "mi14"),
        ("view", "redmi"),
        ("search", "红米"),
        ("search", "徕卡影像手机"),
        ("search", "系统 macOS 电脑"),
        ("view", "air"),
        ("purchase", "air"),
        ("search", "格力空调"),
        ("purchase", "gree"),
        ("click", "midea"),
    ]
    known = {item["id"] for item in SHOP}
    return [
        {
            "user_id": user_id,
            "action": action,
            "item_id" if what in known else "text": what,
            "timestamp": NOON + day * DAY,
        }
        for day, (action, what) in enumerate(told)
    ]
