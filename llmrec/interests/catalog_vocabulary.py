"""A vocabulary from a catalogue's own domains and categories, made a hierarchy by which contain which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import permutations

from llmrec.behavior.events import Item
from llmrec.errors import InputError
from llmrec.interests.taxonomy import VocabularyNode, slug

CONTAINED = 0.8
"""The part of a category's items that lie in a broader one as well (Sanderson & Croft 1999)."""
MAX_DEPTH = 4
MAX_CATEGORIES = 20
"""Categories of one item that are read."""
Key = tuple[str, str]
"""The slugs of a domain and of a category in it; either may be empty."""


def catalog_nodes(items: Iterable[Item], least_items: int) -> list[VocabularyNode]:
    """The interests that a catalogue's domains and categories make, parents before their children.

    Domains stand at the top, their categories below; those of items without a domain at the top. Within a
    domain, x is broader than y when at least 80% of y's items are in x too but not the reverse, and y goes
    below the narrowest of these: subsumption, Sanderson & Croft 1999, "Deriving concept hierarchies from
    text" (SIGIR). A category below more than three others is put below the third. Names that differ in
    capitals or signs are one, spelt as most items do. Ids are slugs, `<domain>/<category>`, wherever the
    category stands, so that they stay when items are added.
    Raises InputError when no category has `least_items` items.
    """
    spellings: dict[Key, Counter[str]] = {}
    counts: Counter[Key] = Counter()
    both: Counter[tuple[Key, Key]] = Counter()
    for item in items:
        domain = slug(item.domain) if item.domain and item.domain.strip() else ""
        if domain:
            spellings.setdefault((domain, ""), Counter())[(item.domain or "").strip()] += 1
        names = [name.strip() for name in item.categories[:MAX_CATEGORIES] if name.strip()]
        keys: dict[Key, str] = {}
        for name in names:
            if slug(name) != domain:
                keys.setdefault((domain, slug(name)), name)
        for key, name in keys.items():
            spellings.setdefault(key, Counter())[name] += 1
        counts.update(list(keys))
        both.update(permutations(keys, 2))
    domains = {domain for domain, category in spellings if not category}
    # A category at the top that is called like a domain is that domain.
    kept = [key for key, n in counts.items() if n >= least_items and not (not key[0] and key[1] in domains)]
    if not kept:
        raise InputError(
            f"no category of the catalogue is on {least_items} items: give the items categories, "
            "or use the shipped vocabulary or one of your own"
        )
    # The larger first, so that whatever is broader is already placed: no cycle can arise.
    kept.sort(key=lambda key: (-counts[key], key))
    nodes = [_node((domain, ""), None, spellings) for domain in sorted(domains)]
    depths: dict[Key, int] = {(domain, ""): 1 for domain in domains}
    parents: dict[Key, Key | None] = dict.fromkeys(depths)
    for key in kept:
        broader = [
            other
            for other in kept
            if other in depths
            and both[key, other] >= CONTAINED * counts[key]
            and both[key, other] < CONTAINED * counts[other]
        ]
        top = (key[0], "") if key[0] in domains else None
        parent: Key | None = min(broader, key=lambda other: (counts[other], other), default=top)
        while parent is not None and depths[parent] >= MAX_DEPTH:
            parent = parents[parent]
        parents[key] = parent
        depths[key] = depths[parent] + 1 if parent is not None else 1
        nodes.append(_node(key, parent, spellings))
    return nodes


def _node(key: Key, parent: Key | None, spellings: dict[Key, Counter[str]]) -> VocabularyNode:
    found = spellings[key]
    label = min(found, key=lambda name: (-found[name], name))
    return VocabularyNode(id=_id(key), parent=_id(parent) if parent is not None else None, en=label)


def _id(key: Key) -> str:
    return "/".join(part for part in key if part)
