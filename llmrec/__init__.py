"""Recommend with a language model: from a person's events to explained recommendations."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmrec.behavior.events import Catalog, Event, Item
    from llmrec.behavior.readers import read_events, read_items
    from llmrec.candidates.log import InteractionLog
    from llmrec.candidates.log_reader import read_log
    from llmrec.errors import LlmrecError
    from llmrec.interests.profile import InterestProfile
    from llmrec.llm.base import Message
    from llmrec.llm.cancellation import Cancellation
    from llmrec.llm.registry import open_embedder, open_model
    from llmrec.llm.scripted import ScriptedModel
    from llmrec.llm.streaming import stream
    from llmrec.ranking.base import Budget
    from llmrec.ranking.reorder.types import Reordering
    from llmrec.ranking.types import RankedItem, Ranking
    from llmrec.recommender import Recommender
    from llmrec.settings import Settings
    from llmrec.store import Store

__all__ = [
    "Budget",
    "Cancellation",
    "Catalog",
    "Event",
    "InteractionLog",
    "InterestProfile",
    "Item",
    "LlmrecError",
    "Message",
    "RankedItem",
    "Ranking",
    "Recommender",
    "Reordering",
    "ScriptedModel",
    "Settings",
    "Store",
    "open_embedder",
    "open_model",
    "read_events",
    "read_items",
    "read_log",
    "stream",
]

__version__ = "0.1.0"

# Each name is imported when it is first used, so that `llmrec --help` need not wait for numpy and networkx.
_HOMES = {
    "Budget": "llmrec.ranking.base",
    "Cancellation": "llmrec.llm.cancellation",
    "Catalog": "llmrec.behavior.events",
    "Event": "llmrec.behavior.events",
    "InteractionLog": "llmrec.candidates.log",
    "InterestProfile": "llmrec.interests.profile",
    "Item": "llmrec.behavior.events",
    "LlmrecError": "llmrec.errors",
    "Message": "llmrec.llm.base",
    "RankedItem": "llmrec.ranking.types",
    "Ranking": "llmrec.ranking.types",
    "Recommender": "llmrec.recommender",
    "Reordering": "llmrec.ranking.reorder.types",
    "ScriptedModel": "llmrec.llm.scripted",
    "Settings": "llmrec.settings",
    "Store": "llmrec.store",
    "open_embedder": "llmrec.llm.registry",
    "open_model": "llmrec.llm.registry",
    "read_events": "llmrec.behavior.readers",
    "read_items": "llmrec.behavior.readers",
    "read_log": "llmrec.candidates.log_reader",
    "stream": "llmrec.llm.streaming",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
