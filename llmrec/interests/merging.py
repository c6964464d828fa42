"""Labels that mean the same become one: by spelling, by closeness of meaning, by shared characters."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llmrec.interests.taxonomy import CJK_RUN
from llmrec.llm.embedder import Embedder

FloatVector = npt.NDArray[np.float32]

LabelPath = tuple[str, ...]
"""Labels from general to specific."""

SAME_MEANING = 0.75
"""The least cosine of two labels that are one. Of the 3,124 pairs of siblings in the shipped vocabulary, all
different interests, one lies above it with the static vectors; of its labels' English aliases, 8%."""
SAME_REMAINDER = 0.6
"""The least cosine of what two labels do not share: films and books in science fiction films and books."""
SAME_LETTERS = 0.85
"""The least Dice coefficient of two labels' letter pairs where no embedder speaks; siblings reach 0.82."""
SAME_CHARACTERS = 0.75
"""The same for labels in Chinese characters, whose siblings in the shipped vocabulary reach 0.6."""

WORD = re.compile(r"[^\W_]+(?:\++|#)?", re.UNICODE)
APOSTROPHES = re.compile(r"['’‘]")
AND = re.compile(r"[&+](?=\s)|&")
CHINESE_AND = str.maketrans({"与": "和", "及": "和", "、": "和"})
# Generic endings of a Chinese label, left away when enough of it stays to be a word.
CHINESE_ENDING = re.compile(r"(?<=..)(?:类|片|相关|爱好|方面|领域)$")
NEGATIVE_WORDS = frozenset({"no", "not", "non", "without", "anti", "free", "except"})
NEGATIVE_PREFIX = re.compile(r"(?:non|anti)(?=\w{4})")
NEGATIVE_CHARACTERS = re.compile("[不无非反没除]")
NUMBER = re.compile(r"\d+|[一二三四五六七八九十百千]+(?=[代期部季年级号])")
ROMAN = {"ii": "2", "iii": "3", "iv": "4", "vi": "6", "vii": "7", "viii": "8", "ix": "9"}
# Words whose s makes another word of them.
KEPT_PLURALS = frozenset({"news", "glasses", "arms", "goods", "customs", "lens"})


def merge_labels(
    paths: Mapping[LabelPath, int], embedder: Embedder | None = None, *, fixed: Collection[LabelPath] = ()
) -> dict[LabelPath, LabelPath]:
    """Say what each path is called once labels that mean the same are one; every prefix has an entry too.

    `paths` are the paths with the number of events behind each. Level by level from the top, labels below
    the same merged parent are one when they are equal but for case, plural, hyphens, "&" and width; when
    one abbreviates the other; when their cosine is at least 0.75 (`embedder`), and that of the words they do
    not share 0.6; or, where the embedder does not know their language, when they share nearly all pairs of
    characters. Labels that differ in a number or a negation, and those of which one is the other and a word
    more, stay apart. Every two members of a group are that close (complete linkage), so that no chain joins
    what is far apart.

    The spelling with the most events names the group, then one with a capital, then the shortest. Paths in
    `fixed` keep their names and give them to the others. The result depends on no order.
    """
    counts: Counter[LabelPath] = Counter()
    kept = {path[:end] for path in fixed for end in range(1, len(path) + 1)}
    for path, count in paths.items():
        for end in range(1, len(path) + 1):
            counts[path[:end]] += count
    for path in kept:
        counts[path] += 0
    merged: dict[LabelPath, LabelPath] = {(): ()}
    for level in range(1, max(map(len, counts), default=0) + 1):
        families: dict[LabelPath, list[LabelPath]] = defaultdict(list)
        for path in counts:
            if len(path) == level:
                families[merged[path[:-1]]].append(path)
        for parent in sorted(families):
            if kept.issuperset(families[parent]):
                merged.update({path: path for path in families[parent]})
                continue
            below: Counter[str] = Counter()
            for path in families[parent]:
                below[path[-1]] += counts[path]
            own = {path[-1] for path in kept if len(path) == level and path[:-1] == parent}
            names = _name_groups(below, own, parent[-1] if parent else "", embedder)
            for path in families[parent]:
                # A kept path lies below its own parent, which nothing renames.
                merged[path] = (*parent, names[path[-1]])
    del merged[()]
    return merged


def fold_label(label: str, above: str = "") -> str:
    """The key under which spellings of one label are equal: case, plural, hyphens, "&", width, apostrophes.

    The words of the label `above` are left away at the end: horror films below films are horror.
    """
    return _Form.of(label, above).key


@dataclass(frozen=True)
class _Form:
    """A label as it is compared."""

    label: str
    spoken: tuple[str, ...]
    """Its words, in small letters."""
    words: tuple[str, ...]
    """The same in the singular: keys, and not always words themselves."""
    key: str
    marks: frozenset[str]
    """Numbers, negations and names with signs, which must agree."""
    chinese: bool

    @classmethod
    def of(cls, label: str, above: str = "") -> _Form:
        spoken = _spoken_words(label)
        words = tuple(map(_singular, spoken))
        parent = label_words(above)
        if parent and len(words) > len(parent) and words[-len(parent) :] == parent:
            words, spoken = words[: -len(parent)], spoken[: -len(parent)]
        chinese = bool(CJK_RUN.search(label))
        key = "".join(words)
        if chinese:
            folded_above = "".join(parent)
            if folded_above and len(key) >= len(folded_above) + 2 and key.endswith(folded_above):
                key = key[: -len(folded_above)]
            key = CHINESE_ENDING.sub("", key)
        marks = {f"number {ROMAN.get(n, n)}" for w in words for n in (NUMBER.findall(w) or [w]) if _counts(n)}
        if any(word in NEGATIVE_WORDS or NEGATIVE_PREFIX.match(word) for word in words):
            marks.add("no")
        # C is not C++, and a note is not a sharp.
        marks |= {word for word in words if word[-1] in "+#"}
        if NEGATIVE_CHARACTERS.search(key):
            marks.add("no")
        # Signs alone make no word; such labels are equal only to themselves.
        return cls(label, spoken, words, key or label.strip().casefold(), frozenset(marks), chinese)

    @property
    def text(self) -> str:
        """The words as a text."""
        return " ".join(self.spoken)

    def without(self, other: _Form) -> str:
        """The words that the other label lacks."""
        return " ".join(
            spoken for spoken, word in zip(self.spoken, self.words, strict=True) if word not in other.words
        )


def label_words(label: str) -> tuple[str, ...]:
    """The words of a label as keys: small letters, singular, "&" and its like as "and" (和)."""
    return tuple(map(_singular, _spoken_words(label)))


def _counts(text: str) -> bool:
    return text in ROMAN or NUMBER.fullmatch(text) is not None


def _spoken_words(label: str) -> tuple[str, ...]:
    text = unicodedata.normalize("NFKC", label).casefold()
    text = AND.sub(" and ", APOSTROPHES.sub("", text)).translate(CHINESE_AND)
    return tuple(WORD.findall(text))


def _singular(word: str) -> str:
    """A key that singular and plural of an English word share; not always a word itself."""
    if len(word) < 4 or not word.isascii() or word in KEPT_PLURALS or word.endswith(("ss", "us", "is")):
        stem = word
    elif word.endswith(("shes", "ches", "xes", "sses", "zes")):
        stem = word[:-2]
    else:
        stem = word.removesuffix("s")
    if len(stem) > 3 and stem.endswith("ie"):
        stem = f"{stem[:-2]}y"
    return stem


def _name_groups(
    counts: Mapping[str, int], kept: Collection[str], above: str, embedder: Embedder | None
) -> dict[str, str]:
    """The name of each label's group, for labels below one parent."""
    spellings: dict[str, list[str]] = defaultdict(list)
    for label in counts:
        spellings[fold_label(label, above)].append(label)

    def rank(label: str) -> tuple[bool, int, bool, int, str]:
        return label not in kept, -counts[label], label[:1].islower(), len(label), label

    forms = [_Form.of(min(labels, key=rank), above) for _, labels in sorted(spellings.items())]
    group = {form.key: [form.key] for form in forms}
    named = {form.key for form in forms if any(label in kept for label in spellings[form.key])}
    close = _close_pairs(forms, named, above, embedder)
    for one, other in sorted(close, key=lambda pair: (-close[pair], pair)):
        ours, theirs = group[one], group[other]
        if ours is theirs or not all((min(a, b), max(a, b)) in close for a in ours for b in theirs):
            continue
        if not (named.isdisjoint(ours) or named.isdisjoint(theirs)):
            continue
        ours += theirs
        for key in theirs:
            group[key] = ours
    names: dict[str, str] = {}
    for keys in group.values():
        labels = [label for key in keys for label in spellings[key]]
        name = min(labels, key=rank)
        names.update({label: label if label in kept else name for label in labels})
    return names


def _close_pairs(
    forms: Sequence[_Form], named: Collection[str], above: str, embedder: Embedder | None
) -> dict[tuple[str, str], float]:
    """How close the keys of two labels are, for those close enough to be one; the smaller key first.

    Two keys that are both in `named` keep their names, and are not compared.
    """
    closeness = _Closeness(embedder, above)
    closeness.read([form.text for form in forms])
    close = {}
    for at, one in enumerate(forms):
        for other in forms[at + 1 :]:
            both_named = one.key in named and other.key in named
            found = None if both_named else closeness.of(one, other)
            if found is not None:
                close[min(one.key, other.key), max(one.key, other.key)] = found
    return close


class _Closeness:
    """How close labels are, by the embedder where it knows their language, else by pairs of characters."""

    def __init__(self, embedder: Embedder | None, above: str) -> None:
        self._embedder = embedder
        self._above = above
        self._known: dict[str, FloatVector] = {}

    def read(self, texts: Sequence[str]) -> None:
        """Embed texts that are not known yet, all at once."""
        new = sorted({text for text in texts if text not in self._known})
        if new and self._embedder is not None:
            self._known.update(zip(new, self._embedder.embed(new), strict=True))

    def of(self, one: _Form, other: _Form) -> float | None:
        """A number from 0 to 1 for two labels that may be one, None for two that are not."""
        if one.marks != other.marks or one.chinese != other.chinese or not (one.words and other.words):
            return None
        if abbreviates(one.label, other.label) or abbreviates(other.label, one.label):
            return 1.0
        embedded = self._speaks(one) and self._speaks(other)
        if one.chinese and not embedded:
            if one.key in other.key or other.key in one.key:
                return None
            return _at_least(SAME_CHARACTERS, pair_overlap(one.key, other.key))
        measure = self._cosine if embedded else pair_overlap
        least = SAME_MEANING if embedded else SAME_LETTERS
        found = _at_least(least, measure(one.text, other.text))
        if found is None or one.chinese:
            return found
        ours, theirs = one.without(other), other.without(one)
        least = SAME_REMAINDER if embedded else SAME_LETTERS
        if ours and theirs:
            return found if measure(ours, theirs) >= least else None
        # One says more than the other: it is narrower, unless it only names the parent once more.
        more = ours or theirs
        return found if not more or (self._above and measure(more, self._above) >= least) else None

    def _speaks(self, form: _Form) -> bool:
        if self._embedder is None or (
            form.chinese and self._embedder.languages and "zh" not in self._embedder.languages
        ):
            return False
        self.read([form.text])
        return bool(self._known[form.text].any())

    def _cosine(self, one: str, other: str) -> float:
        self.read([one, other])
        # The last digits differ between batches of some embedders, and must decide nothing.
        return round(float(self._known[one] @ self._known[other]), 4)


def _at_least(least: float, found: float) -> float | None:
    return found if found >= least else None


def abbreviates(short: str, long: str) -> bool:
    """Whether a label is short for another: RPG for role-playing games, sci-fi for science fiction."""
    letters, words = WORD.findall(short), WORD.findall(long)
    if len(words) < 2:
        return False
    if len(letters) == 1:
        initials = "".join(word[0] for word in words)
        return short.isascii() and letters[0].isupper() and letters[0].casefold() == initials.casefold()
    return len(letters) == len(words) and all(
        len(part) >= 2 and len(part) < len(word) and word.casefold().startswith(part.casefold())
        for part, word in zip(letters, words, strict=True)
    )


def pair_overlap(one: str, other: str) -> float:
    """The Dice coefficient of two texts' pairs of neighbouring characters, their ends marked; 0 to 1."""
    pairs, others = ({f"^{text}$"[at : at + 2] for at in range(len(text) + 1)} for text in (one, other))
    return 2 * len(pairs & others) / (len(pairs) + len(others))
