"""Items that share words with a text: BM25 over words; over pairs of characters in East Asian scripts."""

from __future__ import annotations

import re
from collections.abc import Sequence

import bm25s
import numpy as np
import numpy.typing as npt
from bm25s.stopwords import STOPWORDS_EN

from llmrec.behavior.events import Item

Scores = npt.NDArray[np.float32]

CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003134f]")
# A Latin word or a number ends where Chinese begins, as in 小米14手机.
TOKEN = re.compile(rf"{CJK.pattern}+|(?:(?!{CJK.pattern})[^\W_])+", re.UNICODE)
MAX_TEXT = 20_000


def tokenize(text: str) -> list[str]:
    """Cut a text into folded words; runs of Chinese, kana and Hangul into overlapping pairs.

    English function words are left out, and a plural's last s. Long texts are read to 20,000 characters.
    """
    tokens: list[str] = []
    for word in TOKEN.findall(text[:MAX_TEXT].casefold()):
        if CJK.match(word):
            tokens += [word[at : at + 2] for at in range(max(1, len(word) - 1))]
        elif word not in STOPWORDS_EN:
            tokens.append(word[:-1] if len(word) > 3 and word.endswith("s") and word[-2] != "s" else word)
    return tokens


def item_text(item: Item) -> str:
    """All the words of an item."""
    return " ".join(
        [item.title, *item.categories, *item.attributes.values(), item.domain or "", item.description]
    )


class Bm25Index:
    """BM25 over the texts of items (Robertson and Zaragoza 2009), with k1 = 1.2 and b = 0.75."""

    def __init__(self, items: Sequence[Item]) -> None:
        self._count = len(items)
        texts = [tokenize(item_text(item)) for item in items]
        self._index = bm25s.BM25(method="lucene", k1=1.2, b=0.75) if any(texts) else None
        if self._index is not None:
            self._index.index(texts, show_progress=False)

    def __len__(self) -> int:
        return self._count

    def scores(self, text: str) -> Scores:
        """How well each item matches a text: one number from 0 up an item, in the order of the items."""
        known = [token for token in tokenize(text) if self._index and token in self._index.vocab_dict]
        if self._index is None or not known:
            return np.zeros(self._count, dtype=np.float32)
        return np.asarray(self._index.get_scores(known), dtype=np.float32)
