"""The numbers of an interest, from what each event says about it. `docs/interests.md` explains them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from llmrec.behavior.events import HistoryEntry
from llmrec.behavior.strength import SECONDS_PER_DAY
from llmrec.interests.hierarchy import Ending, Horizon, Polarity, Tier
from llmrec.settings import InterestNumbers


@dataclass(frozen=True)
class Fading:
    """What time has left of each event of a history, in both terms, and what all of them come to."""

    short: list[float]
    long: list[float]
    short_total: float
    long_total: float


def fading_of(entries: Sequence[HistoryEntry], numbers: InterestNumbers) -> Fading:
    """Say what is left of each event, from 0 to 1, in the short and in the long term.

    The long term is the entry's own decay, 0.5 ** (age / half_life_days). In the short term an event fades
    with the days and with the later events alike, whichever has taken more:
    0.5 ** max(age / short_half_life_days, later events / short_half_life_events). The first is the
    exponential time weight of Ding & Li, "Time weight collaborative filtering" (CIKM 2005); the second does
    for histories that are dense or undated what the first does for those spread over months.
    """
    long = [entry.decay for entry in entries]
    stamps: list[float | None] = []
    nearest = next((e.event.timestamp for e in entries if e.event.timestamp is not None), None)
    for entry in entries:
        nearest = entry.event.timestamp if entry.event.timestamp is not None else nearest
        stamps.append(nearest)
    last = max((stamp for stamp in stamps if stamp is not None), default=None)
    short = []
    for place, stamp in enumerate(stamps):
        days = (last - stamp) / SECONDS_PER_DAY if last is not None and stamp is not None else 0.0
        halvings = max(
            days / numbers.short_half_life_days,
            (len(entries) - 1 - place) / numbers.short_half_life_events,
        )
        short.append(0.5**halvings)
    strengths = [abs(entry.strength) for entry in entries]
    return Fading(
        short,
        long,
        sum(s * d for s, d in zip(strengths, short, strict=True)),
        sum(s * d for s, d in zip(strengths, long, strict=True)),
    )


@dataclass(frozen=True)
class Numbers:
    """The numbers of one interest; see the fields of `Interest`."""

    weight: float
    short_term: float
    long_term: float
    liked: float
    disliked: float
    confidence: float
    polarity: Polarity
    horizon: Horizon
    ended: Ending | None


def numbers_of(
    signed: Mapping[int, float],
    entries: Sequence[HistoryEntry],
    fading: Fading,
    numbers: InterestNumbers,
    *,
    refused_at: int | None = None,
    factor: float = 1.0,
) -> Numbers:
    """Work out the numbers of one interest.

    `signed` holds, by the place of an event in the history, strength times share, below zero where the event
    speaks against the interest. With d the decay in a term, and both sums over events:

    - liked = sum of s p d where s p > 0 / sum of |s| d, disliked likewise where s p < 0; each mixed from
      both terms, `short_term_share` of the short one;
    - polarity is the sign of liked - disliked; weight is the one of the two that polarity names;
    - confidence = 1 - product of (1 - |s p|) over the events that agree with the polarity, the noisy-or of
      its events (Pearl 1988, Probabilistic Reasoning in Intelligent Systems, section 4.3). Time does not
      make less sure that an interest was shown.

    `refused_at` is the place of the last sentence in which the person turned the interest or a broader one
    away: what they liked before it does not count any more. `factor` multiplies liked (edits).
    """
    sums = [[0.0, 0.0], [0.0, 0.0]]
    doubts = [1.0, 1.0]
    agree = [0, 0]
    liked_since = False
    for at, s in signed.items():
        side = 0 if s > 0 else 1
        amount = abs(s)
        doubts[side] *= 1 - min(1.0, amount)
        agree[side] += 1
        if side == 1 or refused_at is None or at > refused_at:
            sums[0][side] += amount * fading.short[at]
            sums[1][side] += amount * fading.long[at]
            liked_since = liked_since or side == 0
    short_liked, long_liked = (
        _part(sums[0][0] * factor, fading.short_total),
        _part(sums[1][0] * factor, fading.long_total),
    )
    short_against, long_against = (
        _part(sums[0][1], fading.short_total),
        _part(sums[1][1], fading.long_total),
    )
    mix = numbers.short_term_share
    liked = mix * short_liked + (1 - mix) * long_liked
    disliked = mix * short_against + (1 - mix) * long_against
    refused = refused_at is not None and not liked_since
    polarity: Polarity = "negative" if disliked > liked or refused else "positive"
    short, long = (short_liked, long_liked) if polarity == "positive" else (short_against, long_against)
    side = 0 if polarity == "positive" else 1
    doubt = doubts[side] if agree[side] else doubts[1 - side]
    return Numbers(
        weight=liked if polarity == "positive" else disliked,
        short_term=short,
        long_term=long,
        liked=liked,
        disliked=disliked,
        confidence=_part(1 - doubt, 1.0),
        polarity=polarity,
        horizon=_horizon(short, long, numbers.horizon_ratio),
        ended=_ending(signed, entries, fading, refused_at) if polarity == "negative" else None,
    )


def tier_of(
    *, long_term: float, confidence: float, support: int, pinned: bool, numbers: InterestNumbers
) -> Tier:
    """Say how firmly an interest stands, by its weight in the long term, its support and its confidence.

    A pinned interest is core. An interest of the last days alone is not, however much it weighs now.
    """
    if pinned or (
        long_term >= numbers.core_weight
        and support >= numbers.core_support
        and confidence >= numbers.core_confidence
    ):
        return "core"
    if long_term >= numbers.regular_weight and support >= numbers.regular_support:
        return "regular"
    return "occasional"


def _part(amount: float, total: float) -> float:
    return min(1.0, max(0.0, amount / total)) if total > 0 else 0.0


def _horizon(short: float, long: float, ratio: float) -> Horizon:
    if short > ratio * long:
        return "short-term"
    return "long-term" if long > ratio * short else "both"


def _ending(
    signed: Mapping[int, float],
    entries: Sequence[HistoryEntry],
    fading: Fading,
    refused_at: int | None,
) -> Ending | None:
    """The event that ended an interest which is turned away now; None where there was none to end.

    It is the sentence that refused it, or else the event with which what speaks against it, in the long
    term, came to outweigh what spoke for it. All decays of the long term share a factor at any earlier
    time, so today's tell which side was the heavier then.
    """
    ordered = sorted(signed)
    since, balance = refused_at, 0.0
    if since is None:
        for at in ordered:
            before, balance = balance, balance + signed[at] * fading.long[at]
            if balance > 0:
                since = None
            elif before > 0:
                since = at
    if since is None:
        # What was liked still outweighs in the long term, and does not in both terms together.
        likes = [at for at in ordered if signed[at] > 0]
        against = [at for at in ordered if signed[at] < 0]
        if not likes or not against:
            return None
        since = next((at for at in against if at > likes[-1]), against[-1])
    held = sum(signed[at] * fading.long[at] for at in ordered if at < since)
    if held <= 0:
        return None
    whole = sum(
        abs(entry.strength) * decay for entry, decay in zip(entries[:since], fading.long, strict=False)
    )
    event = entries[since].event
    return Ending(event_id=event.id, timestamp=event.timestamp, weight=_part(held, whole))
