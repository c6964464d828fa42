"""What is told of interests beside the tree: endings, what is suppressed, changes, edits, predictions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from llmrec.cli.views import plural, prose, signed

if TYPE_CHECKING:
    from llmrec.interests.edits import Edit
    from llmrec.interests.hierarchy import Ending, Interest
    from llmrec.interests.organization import SuppressedInterest
    from llmrec.interests.profile import InterestProfile
    from llmrec.interests.revision import ProfileDiff

CHANGE_STYLES = {"+": "green", "-": "red", "~": "yellow"}
MOST_CHANGED_WEIGHTS = 12
"""Interests whose weight alone changed, as many as are shown for one edit."""


def day(timestamp: float | None) -> str:
    """The day of a time, in UTC."""
    if timestamp is None:
        return "undated"
    return f"{datetime.fromtimestamp(timestamp, tz=timezone.utc):%Y-%m-%d}"


def minute(timestamp: float | None) -> str:
    """The day and the minute of a time, in UTC."""
    if timestamp is None:
        return "undated"
    return f"{datetime.fromtimestamp(timestamp, tz=timezone.utc):%Y-%m-%d %H:%M} UTC"


def interest_names(profile: InterestProfile) -> dict[str, str]:
    """The path of each interest by its id, those that are suppressed included."""
    from llmrec.interests.hierarchy import PATH_SEPARATOR

    paths = {one.id: one.path for one in profile.suppressed}
    paths |= {one.id: profile.hierarchy.path(one.id) for one in profile.interests}
    return {interest_id: PATH_SEPARATOR.join(path) for interest_id, path in paths.items()}


def names_as_found(profile: InterestProfile) -> dict[str, str]:
    """The path of each interest by its id, as it was found in the events, before any edit."""
    from llmrec.interests.hierarchy import PATH_SEPARATOR

    names: dict[str, str] = {}
    for reading in profile.readings:
        for label in reading.labels:
            for depth, step in enumerate(label.path, start=1):
                if step.id not in names:
                    names[step.id] = PATH_SEPARATOR.join(above.label for above in label.path[:depth])
    return names


def edit_words(edit: Edit, names: Mapping[str, str]) -> str:
    """An edit in a few words, with the names of interests in place of their ids."""
    from llmrec.interests.edits import describe

    ids = {field: getattr(edit, field, None) for field in ("interest", "into", "under")}
    named = {field: names.get(given, given) for field, given in ids.items() if given is not None}
    return describe(edit.model_copy(update=named))


def ended_view(profile: InterestProfile) -> RenderableType:
    """The interests that a later event contradicted: when, and what they weighed before."""
    names = interest_names(profile)
    return _lines_of_two(
        (day(one.ended.timestamp), _ending_words(one, one.ended, names))
        for one in profile.ended
        if one.ended is not None
    )


def _ending_words(one: Interest | SuppressedInterest, ended: Ending, names: Mapping[str, str]) -> str:
    return f"{names[one.id]}: weighed {signed(ended.weight)} until then"


def suppressed_line(suppressed: Sequence[SuppressedInterest]) -> RenderableType:
    """How many interests are left out of the tree, and why."""
    reasons = Counter(one.reason for one in suppressed)
    why = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    return prose(
        f"… and {plural(len(suppressed), 'suppressed interest')} ({why}): --suppressed lists them",
        "dim italic",
    )


def suppressed_view(suppressed: Sequence[SuppressedInterest]) -> RenderableType:
    """Each interest that is left out of the tree, and why."""
    from llmrec.interests.hierarchy import PATH_SEPARATOR

    if not suppressed:
        return Text("nothing is suppressed", style="italic")
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("interest", overflow="fold")
    table.add_column("why", overflow="fold")
    table.add_column("long term", justify="right", no_wrap=True)
    table.add_column("events", justify="right", no_wrap=True)
    for one in suppressed:
        why = {"faded": "faded", "removed": "removed by you", "ended": "turned away"}[one.reason]
        if one.ended is not None and one.reason != "removed":
            why = f"ended {day(one.ended.timestamp)}"
        table.add_row(
            prose(PATH_SEPARATOR.join(one.path)),
            Text(why, style="red" if one.reason == "ended" else ""),
            f"{one.long_term:.3f}",
            Text(str(one.support), style="dim"),
        )
    return table


def changes_view(diff: ProfileDiff, *, most_weights: int | None = None) -> RenderableType:
    """What differs between two profiles, one change a line: green appeared, red gone, yellow changed.

    Of the interests whose weight alone changed, `most_weights` are shown, those that changed most.
    """
    if not diff:
        return Text("nothing changes in the tree", style="italic")
    lines = diff.lines()
    weights = [
        place
        for place, change in enumerate(diff.changed, start=len(diff.appeared) + len(diff.gone))
        if change.what == ("weight",)
    ]
    hidden = set(weights[most_weights:]) if most_weights is not None else set()
    parts: list[RenderableType] = []
    if lines:
        grid = Table(box=None, show_header=False, padding=(0, 1, 0, 0), pad_edge=False)
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        for place, line in enumerate(lines):
            if place not in hidden:
                style = CHANGE_STYLES[line[0]]
                grid.add_row(Text(line[0], style=style), prose(line[2:], style))
        parts.append(grid)
    if hidden:
        parts.append(prose(f"… and {plural(len(hidden), 'smaller change')} of weight", "dim italic"))
    events = [
        plural(len(ids), f"{word} event")
        for word, ids in (("new", diff.new_events), ("missing", diff.missing_events))
        if ids
    ]
    if events:
        parts.append(Text(", ".join(events), style="dim"))
    return Group(*parts)


def edits_view(profile: InterestProfile) -> RenderableType:
    """The edits of a profile with their times, the first one first."""
    names = names_as_found(profile)
    return _lines_of_two((minute(edit.made), edit_words(edit, names)) for edit in profile.edits)


def predicted_view(profile: InterestProfile) -> RenderableType:
    """Interests that were predicted, likeliest first, each with what it was inferred from."""
    from llmrec.interests.hierarchy import PATH_SEPARATOR

    if not profile.predicted:
        return Text("nothing could be predicted", style="italic")
    names = interest_names(profile)
    grid = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    grid.add_column(justify="right", style="dim", no_wrap=True)
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(overflow="fold", ratio=1)
    for place, one in enumerate(profile.predicted, start=1):
        reasons = []
        if one.inferred_from:
            reasons.append("from " + ", ".join(names.get(known, known) for known in one.inferred_from))
        if one.similar_people:
            people = "1 person" if one.similar_people == 1 else f"{one.similar_people:,} people"
            reasons.append(f"shown by {people} with like interests")
        sources = [f"{name} {signed(amount)}" for name, amount in one.sources.items()]
        if sources:
            reasons.append("score: " + ", ".join(sources))
        grid.add_row(
            str(place),
            Text(signed(one.score), style="green"),
            Group(prose(PATH_SEPARATOR.join(one.path), "italic"), prose("; ".join(reasons))),
        )
    return grid


def _lines_of_two(rows: Iterable[tuple[str, str]]) -> RenderableType:
    grid = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for first, second in rows:
        grid.add_row(first, prose(second))
    return grid
