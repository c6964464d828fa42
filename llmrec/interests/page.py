"""A profile as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from llmrec.behavior.events import HistoryEntry
from llmrec.behavior.text import clean_text
from llmrec.interests.hierarchy import PATH_SEPARATOR, Ending, Interest

if TYPE_CHECKING:
    from llmrec.interests.anticipation import PredictedInterest
    from llmrec.interests.organization import SuppressedInterest
    from llmrec.interests.profile import InterestProfile

MINUS = "−"
DOT = " · "
OPEN_AT_FIRST = 12
"""With more interests at the top than these, all of them begin closed."""

# What would end the script element, or be read as something else than JSON.
_IN_SCRIPT = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}
_WORDS_OF_SCRIPT = ("when", "did", "about", "share", "share_hint", "more", "no_date", "shown")


def to_page(profile: InterestProfile) -> str:
    """Write a profile as one self-contained HTML page, in the profile's language.

    The tree opens and closes, each interest lists its events, and bars and numbers show the weights.
    Predicted and suppressed interests stand in sections of their own. The page loads nothing, and its
    Content-Security-Policy allows no style and no script but its own.
    """
    words = page_words(profile.language)
    view = _View(profile, words)
    style, script = _file("page.css"), _file("page.js")
    page: str = _template().render(
        words=words,
        title=words["title"].format(person=clean_text(profile.user_id)),
        style=Markup(style),  # noqa: S704 - our own file, not anybody's text
        script=Markup(script),  # noqa: S704
        style_hash=_csp_hash(style),
        script_hash=_csp_hash(script),
        totals=view.totals(),
        account=view.account(),
        nodes=view.nodes(None),
        predicted=[view.predicted(one) for one in profile.predicted if one.id not in profile.hierarchy],
        suppressed=[view.suppressed(one) for one in profile.suppressed],
        unlabelled=view.count(len(profile.unlabelled)) if profile.unlabelled else "",
        notes=[clean_text(note) for note in profile.notes],
        data=Markup(_as_script_data(view.data())),  # noqa: S704 - nothing in it can end the element
    )
    return page


@cache
def _all_words() -> Mapping[str, Mapping[str, Any]]:
    words: dict[str, dict[str, Any]] = json.loads(_file("page.words.json"))
    return words


def page_words(language: str) -> Mapping[str, Any]:
    """The words that pictures of a profile are labelled with; English for all but Chinese."""
    return _all_words()["zh" if language == "zh" else "en"]


def signed_weight(interest: Interest) -> str:
    """The weight with two digits, and a true minus sign where it is negative."""
    number = f"{interest.weight:.2f}"
    return f"{MINUS}{number}" if interest.polarity == "negative" and float(number) else number


class _View:
    """What the template shows of one profile."""

    def __init__(self, profile: InterestProfile, words: Mapping[str, Any]) -> None:
        self._profile = profile
        self._words = words
        self._interests = list(profile.hierarchy.walk())
        self._place = {interest.id: at for at, interest in enumerate(self._interests)}
        self._event_place = {entry.event.id: at for at, entry in enumerate(profile.entries)}
        self._heaviest = max((interest.weight for interest in self._interests), default=0.0)

    def count(self, events: int) -> str:
        """A number of events in words."""
        return f"{events:,} {self._word_for(events, 'events')}"

    def _word_for(self, number: int, name: str) -> str:
        return str(self._words.get(f"{name}_one" if number == 1 else name, self._words[name]))

    def nodes(self, parent_id: str | None) -> list[dict[str, Any]]:
        """The interests below one, each with all below it."""
        below = self._profile.hierarchy.children(parent_id)
        opened = parent_id is None and len(below) <= OPEN_AT_FIRST
        nodes = []
        for interest in below:
            children = self.nodes(interest.id)
            nodes.append(
                {
                    "at": self._place[interest.id],
                    "label": clean_text(interest.label),
                    "negative": interest.polarity == "negative",
                    "open": opened and bool(children),
                    "tags": self._tags(interest),
                    "bar": f"{100 * interest.weight / (self._heaviest or 1):.1f}",
                    "weight": signed_weight(interest),
                    "count": self.count(interest.support),
                    "facts": self._facts(interest),
                    "ended": self._ended(interest.ended),
                    "broader": self._linked(interest.broader),
                    "children": children,
                }
            )
        return nodes

    def totals(self) -> list[dict[str, str]]:
        """The numbers at the top."""
        profile = self._profile
        items = profile.history.item_ids
        sentences = sum(not entry.event.item_id for entry in profile.entries)
        tiers = [(name, sum(i.tier == name for i in self._interests)) for name in ("core", "regular")]
        counted = [
            (len(profile.entries), "events"),
            (len(items), "items"),
            (sentences, "sentences"),
            (len(self._interests), "interests_count"),
            *((number, name) for name, number in tiers),
            (len(profile.ended), "ended"),
            (len(profile.edits), "edits"),
        ]
        return [
            {"number": f"{number:,}", "label": self._word_for(number, name)}
            for number, name in counted
            if number or name in ("events", "interests_count")
        ]

    def account(self) -> str:
        """When the events were, and when the profile was made."""
        dates = [e.event.timestamp for e in self._profile.entries if e.event.timestamp is not None]
        period = self._words["no_dates"]
        if dates:
            period = self._words["period"].format(first=_date(min(dates)), last=_date(max(dates)))
        made = self._words["made"].format(date=self._profile.created.date().isoformat())
        return DOT.join([period, made] if self._profile.entries else [made])

    def predicted(self, one: PredictedInterest) -> dict[str, Any]:
        """A predicted interest with what it was inferred from."""
        sources = sorted(one.sources, key=lambda source: (-one.sources[source], source))
        facts = [f"{self._words['score']} {one.score:.2f}"]
        for source in sources:
            if source == "people" and one.similar_people:
                facts.append(self._word_for(one.similar_people, "people").format(count=one.similar_people))
            elif one.sources[source] > 0:
                facts.append(self._words[f"source_{source}"])
        return {
            "path": clean_text(PATH_SEPARATOR.join(one.path)),
            "inferred_from": self._linked(one.inferred_from),
            "facts": DOT.join(facts),
        }

    def suppressed(self, one: SuppressedInterest) -> dict[str, str]:
        """A suppressed interest with the reason."""
        facts = [
            f"{self._words['long_weight']} {one.long_term:.3f}",
            self.count(one.support),
            self._ended(one.ended),
        ]
        return {
            "path": clean_text(PATH_SEPARATOR.join(one.path)),
            "reason": self._words["reason_ended" if one.reason == "ended" else one.reason],
            "facts": DOT.join(fact for fact in facts if fact),
        }

    def data(self) -> dict[str, Any]:
        """What the script makes lists of events from: each event once, and by interest which and how much."""
        lists: dict[str, list[list[Any]]] = {}
        for interest in self._interests:
            supporting = [
                [self._event_place[evidence.event_id], f"{evidence.share:.0%}"]
                for evidence in reversed(interest.evidence)
                if evidence.event_id in self._event_place
            ]
            lists[str(self._place[interest.id])] = supporting
        lists["unlabelled"] = [[self._event_place[i]] for i in reversed(self._profile.unlabelled)]
        return {
            "events": [self._event(entry) for entry in self._profile.entries],
            "lists": lists,
            "words": {name: self._words[name] for name in _WORDS_OF_SCRIPT},
        }

    def _event(self, entry: HistoryEntry) -> dict[str, Any]:
        event = entry.event
        said = self._words["quoted"].format(text=clean_text(event.text)) if event.text else ""
        title = clean_text(entry.item.title if entry.item else event.item_id or "")
        did = self._words["actions"].get(event.action, clean_text(event.action))
        found = {
            "date": _date(event.timestamp) if event.timestamp is not None else "",
            "time": _time(event.timestamp) if event.timestamp is not None else "",
            "did": did if event.value is None else f"{did} {event.value:g}",
            "title": DOT.join(part for part in (title, said) if part),
            "against": entry.strength < 0,
        }
        return {name: value for name, value in found.items() if value}

    def _tags(self, interest: Interest) -> list[dict[str, str]]:
        kinds: list[str] = [interest.tier]
        if interest.horizon != "both":
            kinds.append(interest.horizon)
        if interest.pinned:
            kinds.append("pinned")
        if interest.ended is not None:
            kinds.append("ended")
        return [{"kind": kind, "label": self._words[kind]} for kind in kinds]

    def _facts(self, interest: Interest) -> str:
        numbers = [
            ("short_weight", interest.short_term),
            ("long_weight", interest.long_term),
            ("confidence", interest.confidence),
        ]
        return DOT.join(f"{self._words[name]} {number:.2f}" for name, number in numbers)

    def _ended(self, ended: Ending | None) -> str:
        if ended is None:
            return ""
        weight = f"{ended.weight:.2f}"
        if ended.timestamp is None:
            return str(self._words["ended_once"].format(weight=weight))
        return str(self._words["ended_on"].format(date=_date(ended.timestamp), weight=weight))

    def _linked(self, interest_ids: Sequence[str]) -> list[dict[str, Any]]:
        hierarchy = self._profile.hierarchy
        return [
            {"at": self._place[i], "label": clean_text(PATH_SEPARATOR.join(hierarchy.path(i)))}
            for i in interest_ids
            if i in self._place
        ]


def _date(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, tz=timezone.utc).date().isoformat()


def _time(timestamp: float) -> str:
    return f"{datetime.fromtimestamp(timestamp, tz=timezone.utc):%Y-%m-%d %H:%M} UTC"


def _as_script_data(data: Mapping[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).translate(_IN_SCRIPT)


def _csp_hash(text: str) -> str:
    """How a Content-Security-Policy names an inline text that is allowed (CSP level 3, 2.3.1)."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode()}"


@cache
def _file(name: str) -> str:
    return resources.files("llmrec.interests").joinpath(name).read_text("utf-8")


@cache
def _template() -> Any:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False)
    return environment.from_string(_file("page.html.jinja"))
