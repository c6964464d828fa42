"""Figures of what is recommended to all people together: coverage, concentration, diversity, novelty."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, combinations
from typing import Literal

import numpy as np

from llmrec.behavior.events import Catalog, Item
from llmrec.candidates.bm25 import tokenize
from llmrec.candidates.log import InteractionLog
from llmrec.errors import InputError
from llmrec.evaluation.intervals import DRAWS, interval, ratio, without_interval
from llmrec.evaluation.types import Interval, Material

Lists = Sequence[Sequence[str]]
"""The ids of the items recommended for each query, the best first."""

DiversityBasis = Literal["category", "word"]


def list_figures(
    lists: Lists,
    histories: Sequence[Iterable[str]],
    users: Sequence[str],
    material: Material,
    at: int = 10,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Interval]:
    """All figures of the first `at` items of the lists, by name.

    `coverage@k` and `gini@k`, of all lists together; `category_diversity@k` or `word_diversity@k`, whichever
    the catalogue allows; and with a log `novelty@k` in bits and `popularity_lift@k`, each with the bootstrap
    interval over people. `histories` holds the ids of the items of each query's history and `users` whose
    query it is. A figure that no list allows, such as the diversity of single items, is left out.
    Raises InputError without lists, for lengths that differ, and for an item the catalogue does not know.
    """
    if not len(lists) == len(histories) == len(users) or not lists:
        raise InputError(
            f"{len(lists)} lists come with {len(histories)} histories of {len(users)} people: "
            "give one of each a query"
        )
    top = [tuple(items[:at]) for items in lists]
    unknown = next((item for item in chain.from_iterable(top) if item not in material.catalog), None)
    if unknown is not None:
        raise InputError(f"{unknown!r} was recommended but is not in the catalogue: measure with its own one")
    people = len(set(users))
    size = len(material.catalog)
    figures = {
        f"coverage@{at}": without_interval(coverage(top, size), people),
        f"gini@{at}": without_interval(gini(top, size), people),
    }
    basis = diversity_basis(material.catalog)
    traits = item_traits(material.catalog, set(chain.from_iterable(top)), basis)
    means = {f"{basis}_diversity@{at}": [intra_list_diversity(items, traits) for items in top]}
    if material.log:
        means[f"novelty@{at}"] = [novelty(items, material.log) for items in top]
    for name, values in means.items():
        if not all(math.isnan(value) for value in values):
            figures[name] = interval(values, users, draws=draws, seed=seed)
    recommended = [mean_popularity(items, material.log) for items in top]
    known = [mean_popularity(items, material.log) for items in histories]
    if any(not math.isnan(a) and b > 0 for a, b in zip(recommended, known, strict=True)):
        known = [value if value > 0 else math.nan for value in known]
        figures[f"popularity_lift@{at}"] = ratio(recommended, known, users, draws=draws, seed=seed)
    return figures


def coverage(lists: Lists, catalogue_size: int) -> float:
    """The share of the catalogue's items that stand in at least one list (Ge, Delgado and Jannach 2010).

    Where each query has few candidates, most of it is decided by how they were drawn.
    Raises InputError for an empty catalogue.
    """
    return len(set(chain.from_iterable(lists))) / _checked_size(lists, catalogue_size)


def gini(lists: Lists, catalogue_size: int) -> float:
    """How unevenly the places in the lists fall on the catalogue's items: 0 evenly, 1 all on one item.

    Shani and Gunawardana, "Evaluating Recommendation Systems" (2011): the sum of (2j - n - 1) p(j) over the
    n items in ascending order of their share p of all places, divided by n - 1; items in no list count with
    a share of 0. 0 for a catalogue of one item. Raises InputError for an empty catalogue.
    """
    size = _checked_size(lists, catalogue_size)
    counts = np.sort(np.array(list(Counter(chain.from_iterable(lists)).values()), dtype=np.float64))
    if size == 1 or not len(counts):
        return 0.0
    place = np.arange(size - len(counts) + 1, size + 1)
    return float(((2 * place - size - 1) * counts).sum() / ((size - 1) * counts.sum()))


def diversity_basis(catalog: Catalog) -> DiversityBasis:
    """What tells two items apart: categories where at least half of the items have some, else words."""
    with_categories = sum(bool(item.categories) for item in catalog.values())
    return "category" if with_categories and 2 * with_categories >= len(catalog) else "word"


def item_traits(
    catalog: Catalog, item_ids: Iterable[str], basis: DiversityBasis
) -> dict[str, frozenset[str]]:
    """The categories of each item, or the words of its title and description, folded; pairs of characters
    in Chinese."""
    return {item_id: frozenset(_traits(catalog[item_id], basis)) for item_id in item_ids}


def intra_list_diversity(items: Sequence[str], traits: Mapping[str, frozenset[str]]) -> float:
    """The mean Jaccard distance of all pairs of a list, from 0 to 1 (Smyth and McClave 2001; Ziegler 2005).

    Pairs with an item without traits say nothing and are left out; NaN when no pair is left.
    """
    known = [traits[item] for item in items if traits[item]]
    distances = [1.0 - len(a & b) / len(a | b) for a, b in combinations(known, 2)]
    return math.fsum(distances) / len(distances) if distances else math.nan


def novelty(items: Sequence[str], log: InteractionLog) -> float:
    """The mean self-information in bits, -log2(share of people who chose it) (Vargas and Castells 2011).

    An item that nobody in the log chose counts as chosen by one. NaN for an empty list or log.
    """
    if not items or not log:
        return math.nan
    return math.fsum(math.log2(len(log) / max(log.counts[item], 1)) for item in items) / len(items)


def mean_popularity(items: Iterable[str], log: InteractionLog) -> float:
    """The mean share of the log's people who chose an item; NaN for no items or an empty log.

    The mean of it over recommendations, divided by the mean over histories, is the popularity lift: 1 where
    recommendations are as popular as what people chose themselves (1 + ΔGAP of Abdollahpouri, Mansoury,
    Burke and Mobasher 2019).
    """
    distinct = set(items)
    if not distinct or not log:
        return math.nan
    return math.fsum(log.counts[item] for item in distinct) / len(distinct) / len(log)


def _traits(item: Item, basis: DiversityBasis) -> Iterable[str]:
    if basis == "category":
        return (category.casefold() for category in item.categories)
    return tokenize(f"{item.title} {item.description}")


def _checked_size(lists: Lists, catalogue_size: int) -> int:
    distinct = len(set(chain.from_iterable(lists)))
    if catalogue_size < max(distinct, 1):
        raise InputError(
            f"{distinct} different items were recommended from a catalogue of {catalogue_size}: "
            "give the size of the whole catalogue"
        )
    return catalogue_size
