"""Labels from the items' own words: the names, brands and series that several titles of a catalogue share."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from llmrec.behavior.events import Catalog, Item
from llmrec.interests.taxonomy import CJK_RUN, slug
from llmrec.interests.title_words import MAX_TITLE, Run, Span, word_runs

MAX_ITEMS = 20_000
"""Items that are read; of a larger catalogue every second, or every third, and so on."""
MIN_ITEMS = 2
COMMON_SHARE = 0.05
COMMON_ITEMS = 5
"""A phrase on more than 5% of the items, and on more than 5, tells too little to be an interest."""
MAX_CONTENT_WORDS = 3
MAX_WORDS = 5
MAX_CHARACTERS = 4
STAYS_TOGETHER = 0.5
NAME_SHARE = 0.2
"""A phrase gives way to a longer one that has half its items, or a fifth of them and half those of the
longer one's rarest word."""
MIN_COHESION = 0.4
MAX_SHARE = 0.5
MIN_LETTERS = 3

Key = tuple[str, ...]
"""The folded words of a phrase, or its Chinese characters."""


@dataclass(frozen=True)
class OwnPhrase:
    """A phrase of an item's title that other titles of the catalogue have too."""

    slug: str
    """The last part of an interest's id."""
    label: str
    """As the titles spell it most often."""
    items: int
    """How many items of the domain have it, of those that were read."""
    share: float
    """How surely it is an interest of its own, from 0 to 0.5.

    0.5 log(N / n) / log(N) for a phrase on n of a domain's N items: half its normalised self-information.
    """


@dataclass
class _Known:
    items: int
    rarest: int
    """Items that have the rarest of its words."""
    spellings: Counter[str]

    @property
    def label(self) -> str:
        spelling = min(self.spellings, key=lambda text: (-self.spellings[text], text))
        return " ".join(spelling.split())


@dataclass(frozen=True)
class _Domain:
    known: Mapping[Key, _Known]
    items: int

    def worth(self, key: Key, items: int) -> float:
        words = 1 if CJK_RUN.match(key[0]) else len(key)
        return words * math.sqrt(items) * math.log(self.items / items)

    def share(self, items: int) -> float:
        return MAX_SHARE * math.log(self.items / items) / math.log(self.items)


NOTHING_KNOWN = _Domain({}, 0)


class OwnWords:
    """The distinctive phrases of a catalogue: words, and runs of words, that titles of one domain share.

    A phrase has up to three words that mean something, with function words between them, or is a run of 2 to
    4 Chinese characters; runs that overlap and stay together are joined. It stands on at least two items of
    its domain and on at most 5% of them (or five). Words that meet are one phrase when their normalised
    pointwise mutual information is at least 0.4 wherever they are cut (Bouma 2009, "Normalized (pointwise)
    mutual information in collocation extraction"), and a phrase gives way to a longer one that half its
    items have. Left out are, by themselves, numbers, sizes, colours, packaging, function words and the
    commonest words of titles. Memory is bounded: 20,000 items are read, evenly spread over the catalogue,
    and 200 characters of each title.
    """

    def __init__(self, catalog: Catalog) -> None:
        """Nothing is read before the first question."""
        self._catalog = catalog
        self._lock = threading.Lock()
        self._domains: dict[str | None, _Domain] | None = None

    def phrases(self, item: Item, most: int = 3) -> list[OwnPhrase]:
        """The phrases that tell most about an item, the best first; none overlaps another.

        The best has the largest w sqrt(n) log(N / n), for w words on n of N items: it tells much of many.
        """
        domain = self._domain(item)
        known = domain.known
        found = [(key, span) for key, span in _phrase_spans(word_runs(item.title)) if key in known]
        longest = [(key, span) for key, span in found if not _gives_way(key, span, found, known)]
        joined = _joined(longest, known)
        joined.sort(key=lambda phrase: (-domain.worth(phrase[0], phrase[2]), phrase[1]))
        chosen: list[OwnPhrase] = []
        taken: list[Span] = []
        for key, (begin, end), items in joined:
            label = known[key].label if key in known else item.title[begin:end]
            apart = all(end <= other or stop <= begin for other, stop in taken)
            if apart and slug(label) not in {phrase.slug for phrase in chosen}:
                taken.append((begin, end))
                chosen.append(OwnPhrase(slug(label), label, items, domain.share(items)))
            if len(chosen) == most:
                break
        return chosen

    def slugs(self, item: Item) -> frozenset[str]:
        """The slugs of every phrase an item has, also of those inside a longer one."""
        known = self._domain(item).known
        parts = {known[key].label for key, _ in _phrase_spans(word_runs(item.title)) if key in known}
        whole = {phrase.slug for phrase in self.phrases(item, most=MAX_TITLE)}
        return frozenset({slug(label) for label in parts} | whole)

    def _domain(self, item: Item) -> _Domain:
        with self._lock:
            if self._domains is None:
                items = self._catalog.items_in_order
                every = max(1, math.ceil(len(items) / MAX_ITEMS))
                titles: dict[str | None, list[str]] = {}
                for read in items[::every]:
                    titles.setdefault(read.domain, []).append(read.title)
                self._domains = {
                    domain: _Domain(_learn(found), len(found)) for domain, found in titles.items()
                }
            return self._domains.get(item.domain, NOTHING_KNOWN)


def _learn(titles: Sequence[str]) -> dict[Key, _Known]:
    all_runs = [word_runs(title) for title in titles]
    counts: dict[Key, int] = {}
    # Level by level: nothing is frequent unless its parts are (Agrawal & Srikant 1994, the Apriori rule).
    for length in range(1, MAX_WORDS + 1):
        level: Counter[Key] = Counter()
        for runs in all_runs:
            keys = [key for run in runs if len(run.words) >= length for key in _frequent(run, length, counts)]
            level.update(set(keys) if len(keys) > 1 else keys)
        counts.update({key: items for key, items in level.items() if items >= MIN_ITEMS})
    most = min(max(COMMON_ITEMS, COMMON_SHARE * len(titles)), len(titles) / 2)
    known: dict[Key, _Known | None] = {}
    for title, runs in zip(titles, all_runs, strict=True):
        for key, (begin, end) in _phrase_spans(runs, counts):
            if key not in known:
                together = counts[key] <= most and _cohesion(key, counts, len(titles)) >= MIN_COHESION
                rarest = min(counts[word,] for word in key)
                known[key] = _Known(counts[key], rarest, Counter()) if together else None
            if (phrase := known[key]) is not None:
                phrase.spellings[title[begin:end]] += 1
    return {key: phrase for key, phrase in known.items() if phrase is not None}


def _frequent(run: Run, length: int, counts: Mapping[Key, int]) -> list[Key]:
    words = run.words
    if length == 1:
        return [(word,) for word in words]
    if run.chinese and length > MAX_CHARACTERS:
        return []
    keys = [tuple(words[at : at + length]) for at in range(len(words) - length + 1)]
    return [key for key in keys if key[1:] in counts and key[:-1] in counts]


def _phrase_spans(runs: Sequence[Run], counts: Mapping[Key, int] | None = None) -> Iterator[tuple[Key, Span]]:
    """Every run of words of a title that may be a phrase, and where it stands; of those in `counts` alone."""
    for run in runs:
        longest = MAX_CHARACTERS if run.chinese else MAX_WORDS
        for at in range(len(run.words)):
            if not run.may_begin[at]:
                continue
            weighty = said = 0
            for end in range(at, min(at + longest, len(run.words))):
                weighty += run.may_end[end]
                said += run.content[end]
                key = tuple(run.words[at : end + 1])
                too_long = weighty > MAX_CONTENT_WORDS and not run.chinese
                if too_long or (counts is not None and key not in counts):
                    break
                if said and run.may_end[end] and (end > at or _stands_alone(run, at)):
                    yield key, (run.spans[at][0], run.spans[end][1])


def _stands_alone(run: Run, at: int) -> bool:
    return not run.chinese and sum(map(str.isalpha, run.words[at])) >= MIN_LETTERS


def _cohesion(key: Key, counts: Mapping[Key, int], titles: int) -> float:
    """The normalised pointwise mutual information of a phrase's two parts, where it is cut best."""
    together = counts[key]
    if len(key) == 1 or together == titles:
        return 1.0
    return min(
        math.log(together * titles / (counts[key[:cut]] * counts[key[cut:]])) / math.log(titles / together)
        for cut in range(1, len(key))
    )


def _gives_way(key: Key, span: Span, found: Sequence[tuple[Key, Span]], known: Mapping[Key, _Known]) -> bool:
    """Whether a longer phrase that is a name of its own stands over this one."""
    return any(
        len(longer) > len(key)
        and begin <= span[0]
        and span[1] <= end
        and known[longer].items >= STAYS_TOGETHER * min(known[key].items, known[longer].rarest)
        and known[longer].items >= NAME_SHARE * known[key].items
        for longer, (begin, end) in found
    )


def _joined(found: Sequence[tuple[Key, Span]], known: Mapping[Key, _Known]) -> list[tuple[Key, Span, int]]:
    """The phrases in their order, those in Chinese that overlap and are on the same items made one."""
    joined: list[tuple[Key, Span, int]] = []
    for key, span in sorted(found, key=lambda phrase: phrase[1]):
        items = known[key].items
        if joined and CJK_RUN.match(key[0]) and CJK_RUN.match(joined[-1][0][0]):
            before, (begin, end), count = joined[-1]
            if begin < span[0] < end < span[1] and items == count:
                joined[-1] = ((*before, *key[end - span[0] :]), (begin, span[1]), count)
                continue
        joined.append((key, span, items))
    return joined
