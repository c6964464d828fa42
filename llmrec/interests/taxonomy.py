"""A vocabulary of interests to choose from: the shipped one, or the user's own in its place."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llmrec.behavior.events import Catalog, describe_validation_error
from llmrec.errors import InputError

# The signs belong to names such as C++ and C#.
WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+|\+\+|#)?", re.UNICODE)
SLUG = re.compile(r"[\W_]+", re.UNICODE)
# They change how a character looks or joins, not which one it is.
UNSEEN = re.compile(r"[\u00ad\u200c\u200d\ufe00-\ufe0f]")
CJK_RUN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
MAX_PHRASE_WORDS = 5
MAX_PHRASE_CHARACTERS = 10
# Words of one Chinese character are too many things at once.
MIN_PHRASE_CHARACTERS = 2


class VocabularyNode(BaseModel):
    """One interest that can be offered."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    parent: str | None = None
    en: str = Field(min_length=1)
    """The label in English."""
    zh: str = ""
    """The label in Chinese; the English one is used where it is empty."""
    aliases: tuple[str, ...] = ()
    """Other words, in any language, that name the interest in a text about it."""
    attribute: str | None = None
    """The item attribute whose values are this interest's children, for example brand."""

    def label(self, language: str) -> str:
        """The label in a language; English for all but Chinese."""
        return self.zh if language == "zh" and self.zh else self.en


@dataclass(frozen=True)
class Mention:
    """A place in a text that names an interest."""

    node_id: str
    begin: int
    end: int
    """Where the name stands, in characters of the normalised text."""


class Vocabulary:
    """The interests on offer, as a forest, with an index of the words that name them."""

    def __init__(self, nodes: Iterable[VocabularyNode]) -> None:
        """Collect the nodes, parents before children. Raises InputError for one that has no parent."""
        self._nodes: dict[str, VocabularyNode] = {}
        self._children: dict[str | None, list[str]] = defaultdict(list)
        self._phrases: dict[tuple[str, ...], list[str]] = defaultdict(list)
        self._strings: dict[str, list[str]] = defaultdict(list)
        for node in nodes:
            if node.id in self._nodes:
                raise InputError(f"the vocabulary has two interests with the id {node.id!r}: rename one")
            if node.parent is not None and node.parent not in self._nodes:
                raise InputError(
                    f"the interest {node.id!r} names the parent {node.parent!r}, which does not come before "
                    "it: put parents before their children"
                )
            self._nodes[node.id] = node
            self._children[node.parent].append(node.id)
            for name in {node.en, node.zh, *node.aliases}:
                self._index(name, node.id)
        if not self._nodes:
            raise InputError("the vocabulary is empty: give at least one interest")

    @classmethod
    def load(cls, path: Path | None = None) -> Vocabulary:
        """Read a vocabulary in JSON lines, or the shipped one. Raises InputError naming the faulty line."""
        if path is None:
            text = resources.files("llmrec.interests").joinpath("vocabulary.jsonl").read_text("utf-8")
        else:
            try:
                text = path.read_text("utf-8-sig")
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(
                    f"the vocabulary {path} cannot be read: give a file of JSON lines in UTF-8"
                ) from error
        reached = 0

        def nodes() -> Iterator[VocabularyNode]:
            nonlocal reached
            for number, line in enumerate(text.split("\n"), start=1):
                if line.strip():
                    reached = number
                    yield _read_node(line)

        try:
            return cls(nodes())
        except InputError as error:
            place = f", line {reached}" if reached else ""
            raise InputError(f"the vocabulary {path or 'that is shipped'}{place}: {error}") from error

    @classmethod
    def from_catalog(cls, catalog: Catalog, least_items: int = 2) -> Vocabulary:
        """The catalogue's own domains and categories as a vocabulary; see `catalog_vocabulary.catalog_nodes`.

        Categories on fewer than `least_items` items are left out.
        Raises InputError when that leaves none.
        """
        from llmrec.interests.catalog_vocabulary import catalog_nodes

        return cls(catalog_nodes(catalog.values(), least_items))

    def __len__(self) -> int:
        return len(self._nodes)

    def __iter__(self) -> Iterator[VocabularyNode]:
        return iter(self._nodes.values())

    def __contains__(self, node_id: object) -> bool:
        return node_id in self._nodes

    def __getitem__(self, node_id: str) -> VocabularyNode:
        return self._nodes[node_id]

    def children(self, node_id: str | None = None) -> list[VocabularyNode]:
        """The narrower interests of one, or the top ones."""
        return [self._nodes[child] for child in self._children.get(node_id, ())]

    def ancestors(self, node_id: str) -> list[str]:
        """The ids from the top down to an interest, itself included."""
        path: list[str] = []
        current: str | None = node_id
        while current is not None:
            path.append(current)
            current = self._nodes[current].parent
        return path[::-1]

    def root(self, node_id: str) -> str:
        """The id of the top interest above one."""
        return self.ancestors(node_id)[0]

    def mentions(self, text: str) -> list[Mention]:
        """Find the interests a text names: whole words, or strings of two and more Chinese characters.

        Where one name stands inside another, only the longer counts, unless both can be meant at once: an
        interest and a different aspect of the same area (Gree and air conditioners in 格力空调).
        """
        found = sorted(
            {*self._word_mentions(text), *self._string_mentions(text)},
            key=lambda mention: (mention.begin, mention.end, mention.node_id),
        )
        kept: list[Mention] = []
        for cluster in _clusters(found):
            kept += [m for m in cluster if not any(self._overrides(longer, m) for longer in cluster)]
        return kept

    def _overrides(self, longer: Mention, mention: Mention) -> bool:
        if longer.end - longer.begin <= mention.end - mention.begin:
            return False
        if not (longer.begin <= mention.begin and mention.end <= longer.end):
            return False
        if self.root(longer.node_id) != self.root(mention.node_id):
            return True
        return self._nodes[longer.node_id].parent == self._nodes[mention.node_id].parent

    def named(self, name: str) -> list[str]:
        """The ids of the interests that exactly this name stands for."""
        words = tuple(WORD.findall(name.casefold()))
        return list(
            dict.fromkeys([*self._strings.get(name.strip().casefold(), ()), *self._phrases.get(words, ())])
        )

    def _index(self, name: str, node_id: str) -> None:
        folded = name.strip().casefold()
        words = tuple(WORD.findall(folded))
        if CJK_RUN.search(folded):
            self._strings[folded].append(node_id)
        elif words:
            self._phrases[words].append(node_id)

    def _word_mentions(self, text: str) -> Iterator[Mention]:
        # Chinese is written without spaces: a Latin name beside it is still a word of its own.
        spaced = CJK_RUN.sub(lambda run: " " * len(run.group()), text.casefold())
        words = [(match.group(), match.start(), match.end()) for match in WORD.finditer(spaced)]
        for begin in range(len(words)):
            for end in range(begin + 1, min(begin + MAX_PHRASE_WORDS, len(words)) + 1):
                phrase = tuple(word for word, _, _ in words[begin:end])
                node_ids = self._phrases.get(phrase)
                if node_ids is None and phrase[-1].endswith("s"):
                    node_ids = self._phrases.get((*phrase[:-1], phrase[-1][:-1]))
                for node_id in node_ids or ():
                    yield Mention(node_id, words[begin][1], words[end - 1][2])

    def _string_mentions(self, text: str) -> Iterator[Mention]:
        folded = text.casefold()
        if not CJK_RUN.search(folded):
            return
        for begin in range(len(folded)):
            for length in range(MIN_PHRASE_CHARACTERS, min(MAX_PHRASE_CHARACTERS, len(folded) - begin) + 1):
                for node_id in self._strings.get(folded[begin : begin + length], ()):
                    yield Mention(node_id, begin, begin + length)


def slug(text: str) -> str:
    """A text as the last part of an id: folded, with hyphens for all that is no letter, mark on one or digit.

    C, C++ and C# stay apart, and so do words that differ in a vowel sign; the same accent written in two ways
    (Unicode forms NFC and NFD, UAX #15) gives one id. A text of signs alone, such as 🎸, becomes `sign-` with
    the beginning of its hash; an empty one `other`.
    """
    folded = UNSEEN.sub("", unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold()))
    spelt = folded.replace("+", "plus").replace("#", "sharp")
    found = SLUG.sub(_hyphen, spelt).strip("-")
    if found or not folded.strip():
        return found or "other"
    return f"sign-{hashlib.sha256(folded.strip().encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def _hyphen(run: re.Match[str]) -> str:
    """What stands for characters between letters: the marks on the letter before, then a hyphen."""
    signs = run.group()
    marks = 0
    while run.start() and marks < len(signs) and unicodedata.category(signs[marks]).startswith("M"):
        marks += 1
    return signs[:marks] + ("-" if marks < len(signs) else "")


def _read_node(line: str) -> VocabularyNode:
    try:
        return VocabularyNode.model_validate(json.loads(line))
    except ValidationError as error:
        raise InputError(describe_validation_error(error)) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"it is not JSON ({error})") from error


def _clusters(mentions: Sequence[Mention]) -> Iterator[list[Mention]]:
    """Cut mentions, in the order of their places, where none reaches over."""
    cluster: list[Mention] = []
    reach = 0
    for mention in mentions:
        if cluster and mention.begin >= reach:
            yield cluster
            cluster = []
        cluster.append(mention)
        reach = max(reach, mention.end)
    if cluster:
        yield cluster
