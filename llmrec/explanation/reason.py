"""One line for a ranked item: the interests, events and signals that carried it, without asking a model."""

from __future__ import annotations

from llmrec.interests.hierarchy import PATH_SEPARATOR
from llmrec.interests.profile import InterestProfile
from llmrec.prompting.templates import PromptLibrary
from llmrec.ranking.types import RankedItem

MAX_EXAMPLES = 2
MAX_PARTS = 4

SAME_REASON = {
    "bm25_best": "bm25",
    "embedding_best": "embedding",
    "popular_factors": "co_occurrence",
    "item_factors": "co_occurrence",
}
"""Signals that say much the same as another one."""

WITHOUT_ZERO = {"first_index"}
"""Signals that are below 0 also for what they rank first."""


def reason(library: PromptLibrary, profile: InterestProfile, ranked: RankedItem) -> str:
    """Say what raised an item above the other candidates, the strongest signal first.

    Only signals that raised it are named. The numbers are those of the ranking: the weight of an interest,
    whether it shows mostly in what the person did lately, how many events are behind it, the log-likelihood
    ratio in nats.
    """
    raised: dict[str, float] = {}
    speaking: set[str] = set()
    for name, signal in ranked.signals.items():
        said_as = SAME_REASON.get(name, name)
        raised[said_as] = raised.get(said_as, 0.0) + signal.contribution
        if signal.value > 0 or name in WITHOUT_ZERO:
            speaking.add(said_as)
    told = sorted(
        (name for name, amount in raised.items() if amount > 0 and name in speaking),
        key=lambda name: (-raised[name], name),
    )
    parts = [part for name in told for part in [_part(profile, ranked, name)] if part][:MAX_PARTS]
    return library.render("explanation/reason", profile.language, parts=parts).text.strip()


def _part(profile: InterestProfile, ranked: RankedItem, name: str) -> dict[str, object] | None:
    if name == "interests":
        return _interest_part(profile, ranked)
    if name == "bm25":
        examples = _titles(profile, [part.id for part in ranked.evidence.events], leave_out=ranked.item.id)
        return {"signal": name, "examples": examples} if examples else None
    signal = ranked.signals.get(name)
    return {"signal": name, "value": round(signal.value, 1) if signal is not None else 0}


def _interest_part(profile: InterestProfile, ranked: RankedItem) -> dict[str, object] | None:
    liked = [part for part in ranked.evidence.interests if part.amount > 0]
    if not liked:
        return None
    broader = {profile.hierarchy[part.id].parent_id for part in liked}
    # The narrowest of the interests say most; among them, the heaviest.
    best = max((part for part in liked if part.id not in broader), key=lambda part: (part.amount, part.id))
    interest = profile.hierarchy[best.id]
    shares = {evidence.event_id: evidence.share for evidence in interest.evidence}
    behind = sorted(
        (entry for entry in profile.evidence(best.id) if entry.weight > 0),
        key=lambda entry: -entry.weight * shares[entry.event.id],
    )
    return {
        "signal": "interests",
        "path": PATH_SEPARATOR.join(profile.hierarchy.path(best.id)),
        "weight": f"{interest.weight:.2f}",
        "support": interest.support,
        "lately": interest.horizon == "short-term",
        "examples": _titles(profile, [entry.event.id for entry in behind], leave_out=ranked.item.id),
    }


def _titles(profile: InterestProfile, event_ids: list[str], *, leave_out: str) -> list[dict[str, object]]:
    by_id = {entry.event.id: entry for entry in profile.entries}
    titles: dict[str, bool] = {}
    for event_id in event_ids:
        entry = by_id[event_id]
        if entry.item is None or entry.item.id != leave_out:
            titles.setdefault(entry.title, entry.item is None)
    return [{"title": title, "said": said} for title, said in list(titles.items())[:MAX_EXAMPLES]]
