"""What comes after relevance: filters, caps, diversity, calibration to the profile, and novelty."""

from llmrec.ranking.reorder.filters import Filter, parse_filter, passes, passing
from llmrec.ranking.reorder.membership import Belongs, InterestMembership
from llmrec.ranking.reorder.selection import reorder
from llmrec.ranking.reorder.similarity import (
    Similarity,
    category_similarity,
    vector_similarity,
    word_similarity,
)
from llmrec.ranking.reorder.types import KeptOut, Placement, Reordered, Reordering, parse_cap

__all__ = [
    "Belongs",
    "Filter",
    "InterestMembership",
    "KeptOut",
    "Placement",
    "Reordered",
    "Reordering",
    "Similarity",
    "category_similarity",
    "parse_cap",
    "parse_filter",
    "passes",
    "passing",
    "reorder",
    "vector_similarity",
    "word_similarity",
]
