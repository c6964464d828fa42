"""Profiles for the tests of graphs, exports, pages and facets, made without a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st

from llmrec.behavior.cleaning import CleaningReport
from llmrec.behavior.events import Catalog, Event, Item
from llmrec.behavior.strength import build_history
from llmrec.interests.anticipation import PredictedInterest
from llmrec.interests.extraction import EventLabel, EventReading, PathStep
from llmrec.interests.hierarchy import MAX_LEVEL, Ending, Evidence, Interest, InterestHierarchy
from llmrec.interests.profile import InterestProfile
from llmrec.settings import Settings
from tests.builders import DAY, NOON

HOSTILE = (
    "</script><script>alert(1)</script>",
    '"]; click n0 "javascript:alert(1)"',
    "<img src=x onerror=alert(1)>",
    'a"b`c`\nclick n0 call x()',
    "end",
    "%%{init: {}}%%",
    "{{ 7*7 }} {% raw %}",
    "\u202eevil\u202c\u2028x",
    "style a:#b;",
    "1. list",
    "#quot; &lt; &#60;",
    "--> x",
    "x\x00y\x08z",
    "日本 “引号” 你好",
    "$$x^2$$",
    "fa:fa-car icon",
)
"""Texts that mean something to HTML, Mermaid, JSON, XML or Jinja."""

unit = st.floats(0, 1, allow_nan=False)


@st.composite
def forests(draw: st.DrawFn) -> InterestHierarchy:
    """Any hierarchy: any texts as ids, parents, further broader interests and evidence at random."""
    ids = draw(st.lists(st.text(min_size=1, max_size=6), unique=True, max_size=12))
    events = draw(st.lists(st.text(min_size=1, max_size=6), unique=True, min_size=1, max_size=8))
    interests: list[Interest] = []
    for interest_id in ids:
        possible = [None, *(above for above in interests if above.level < MAX_LEVEL)]
        parent = draw(st.sampled_from(possible))
        above = [evidence.event_id for evidence in parent.evidence] if parent else events
        supporting = draw(st.lists(st.sampled_from(above), unique=True, min_size=1))
        # Only what came before: so there are no circles.
        others = [one.id for one in interests if parent is None or one.id != parent.id]
        ended = st.builds(
            Ending, event_id=st.sampled_from(events), timestamp=st.none() | st.floats(0, 2e9), weight=unit
        )
        interests.append(
            Interest(
                id=interest_id,
                label=draw(st.text(min_size=1, max_size=8)),
                parent_id=parent.id if parent else None,
                level=parent.level + 1 if parent else 1,
                broader=tuple(draw(st.lists(st.sampled_from(others), unique=True))) if others else (),
                **{name: draw(unit) for name in ("weight", "short_term", "long_term", "liked", "disliked")},
                confidence=draw(unit),
                polarity=draw(st.sampled_from(["positive", "negative"])),
                horizon=draw(st.sampled_from(["short-term", "long-term", "both"])),
                tier=draw(st.sampled_from(["core", "regular", "occasional"])),
                pinned=draw(st.booleans()),
                ended=draw(st.none() | ended),
                evidence=tuple(Evidence(event_id=event, share=draw(unit)) for event in supporting),
            )
        )
    return InterestHierarchy(interests=tuple(interests))


def steps(path: str, names: Mapping[str, str] | None = None) -> tuple[PathStep, ...]:
    """The path to `films/horror`, with ids that name the whole way and labels from the last parts."""
    parts = path.split("/")
    ids = ["/".join(parts[: end + 1]) for end in range(len(parts))]
    return tuple(
        PathStep(i, (names or {}).get(i, part.capitalize())) for i, part in zip(ids, parts, strict=True)
    )


def made_profile(
    events: Sequence[Mapping[str, Any]],
    readings: Sequence[Sequence[str]],
    *,
    items: Sequence[Mapping[str, Any] | Item] = (),
    user_id: str = "ana",
    names: Mapping[str, str] | None = None,
    **fields: Any,
) -> InterestProfile:
    """A profile of a person's events, a day apart, each read as being about some paths."""
    given = [
        Event.model_validate({"user_id": user_id, "timestamp": NOON + day * DAY, **event})
        for day, event in enumerate(events)
    ]
    found = {
        event.id: EventReading(labels=tuple(EventLabel(steps(path, names), 0.9) for path in paths))
        for event, paths in zip(given, readings, strict=True)
    }
    history = build_history(user_id, given, Catalog(items), Settings())
    return InterestProfile(
        **{
            "user_id": user_id,
            "hierarchy": InterestHierarchy(),
            "entries": tuple(history),
            "readings": tuple(found[entry.event.id] for entry in history),
            "language": "en",
            "strategy": "anchored",
            "model": "none",
            "report": CleaningReport(),
            **fields,
        }
    ).computed()


def film_lover(**fields: Any) -> InterestProfile:
    """Five events on films and books: liked, disliked, said; with a prediction and a further broader link."""
    profile = made_profile(
        [
            {"item_id": "alien", "action": "rate", "value": 5},
            {"item_id": "ring", "action": "dislike"},
            {"text": "quiet science fiction", "action": "say"},
            {"item_id": "solaris", "action": "purchase"},
            {"item_id": "unknown", "action": "view"},
        ],
        [["films/horror", "films/scifi"], ["films/horror"], ["films/scifi"], ["books/scifi"], []],
        items=[
            {"id": "alien", "title": "Alien", "domain": "films", "categories": ["Horror", "Space"]},
            {"id": "ring", "title": "Ring"},
            {"id": "solaris", "title": "Solaris", "language": "en"},
        ],
        broader={"films/scifi": ("books",)},
        **fields,
    )
    predicted = PredictedInterest(
        id="films/space-opera",
        path=("Films", "Space opera"),
        score=0.4,
        sources={"neighbourhood": 0.25, "model": 0.1, "people": 0.05},
        inferred_from=("films/scifi", "gone"),
        similar_people=2,
    )
    return profile.model_copy(update={"predicted": (predicted,)})


def hostile_profile() -> InterestProfile:
    """Every text of the person, the items and the labels tries to be more than text."""
    names = {f"h{at}": text for at, text in enumerate(HOSTILE)}
    names |= {f"h{at}/x": f"{text} below" for at, text in enumerate(HOSTILE)}
    events: list[dict[str, Any]] = [{"item_id": f"i{at}", "action": "like"} for at in range(len(HOSTILE))]
    events += [{"text": text, "action": "say"} for text in HOSTILE]
    profile = made_profile(
        events,
        [[f"h{at % len(HOSTILE)}/x"] for at in range(len(events))],
        items=[Item(id=f"i{at}", title=text, categories=(text,)) for at, text in enumerate(HOSTILE)],
        user_id='<b>ana</b>"]\x00',
        names=names,
        notes=HOSTILE,
    )
    predicted = PredictedInterest(
        id=HOSTILE[1], path=(HOSTILE[0], HOSTILE[2]), score=0.1, inferred_from=("h0",)
    )
    return profile.model_copy(update={"predicted": (predicted,)})
