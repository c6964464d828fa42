"""The items that stand beside a target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from llmrec.behavior.events import Catalog, Event
from llmrec.candidates.log import InteractionLog
from llmrec.errors import InputError
from llmrec.evaluation.types import Negatives

RETRIEVED_BY = 10
"""How many of the last events make the query of retrieved negatives."""


class NegativeSampler:
    """Draws items for one person after the other."""

    def __init__(self, catalog: Catalog, log: InteractionLog, kind: Negatives) -> None:
        """Look up what the drawing needs.

        Raises InputError for negatives by popularity without a log, and for a kind that is not drawn.
        """
        if kind not in ("random", "popularity", "retriever"):
            raise InputError(f"negatives of the kind {kind!r} are not drawn: choose random")
        self._kind = kind
        self._catalog = catalog
        self._ids = list(catalog)
        self._places = {item_id: at for at, item_id in enumerate(self._ids)}
        domains = [item.domain or "" for item in catalog.items_in_order]
        names = {name: at for at, name in enumerate(dict.fromkeys(domains))}
        self._domains = np.array([names[name] for name in domains], dtype=np.int64)
        self._people: npt.NDArray[np.float64] | None = None
        if kind == "popularity":
            self._people = np.array([log.counts[item_id] for item_id in self._ids], dtype=np.float64)
            if not self._people.any():
                raise InputError(
                    "negatives by popularity need a log of what people chose: choose random negatives"
                )
        self._index = None
        if kind == "retriever":
            from llmrec.candidates.bm25 import Bm25Index

            self._index = Bm25Index(catalog.items_in_order)

    def draw(
        self,
        count: int,
        *,
        history: Sequence[Event],
        targets: Sequence[str],
        generator: np.random.Generator,
    ) -> list[str]:
        """Up to `count` items of the targets' domains that are neither a target nor in the history.

        `random` draws evenly and `popularity` by how many people chose an item, both without putting back
        (Efraimidis and Spirakis 2006, "Weighted random sampling with a reservoir": the smallest keys
        E_i / w_i with E_i of the exponential distribution); what nobody chose comes after all that someone
        did. `retriever` takes the best matches of BM25 for the titles of the last ten events. There are
        fewer when the catalogue has no more.
        """
        # One key an item, whatever is left out afterwards: a draw tells nothing of what it left out.
        keys = generator.exponential(size=len(self._ids))
        if self._people is not None:
            keys = np.where(self._people > 0, keys / np.maximum(self._people, 1), np.inf)
            order = np.lexsort((generator.random(len(keys)), keys))
        elif self._index is not None:
            order = np.lexsort((keys, -self._index.scores(self._query(history))))
        else:
            order = np.argsort(keys)
        excluded = np.zeros(len(self._ids), dtype=bool)
        for item_id in (*targets, *(event.item_id for event in history)):
            if item_id in self._places:
                excluded[self._places[item_id]] = True
        wanted = np.unique(self._domains[[self._places[target] for target in targets]])
        allowed = ~excluded & np.isin(self._domains, wanted)
        return [self._ids[at] for at in order[allowed[order]][:count]]

    def _query(self, history: Sequence[Event]) -> str:
        items = [(self._catalog.get(event.item_id or ""), event) for event in history[-RETRIEVED_BY:]]
        return " ".join(item.title if item else (event.text or "") for item, event in items)
