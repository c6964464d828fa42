"""Recommend with a language model: from a person's events to explained recommendations."""

from llmrec.behavior.events import Catalog, Event, Item
from llmrec.errors import LlmrecError
from llmrec.interests.profile import InterestProfile
from llmrec.ranking.types import RankedItem, Ranking
from llmrec.recommender import Recommender
from llmrec.settings import Settings
from llmrec.store import Store

__all__ = [
    "Catalog",
    "Event",
    "InterestProfile",
    "Item",
    "LlmrecError",
    "RankedItem",
    "Ranking",
    "Recommender",
    "Settings",
    "Store",
]

__version__ = "0.1.0"
