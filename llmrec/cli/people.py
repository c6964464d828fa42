"""Profiles and rankings as several commands tell and show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from llmrec.cli.interest_views import ended_view, predicted_view, suppressed_line, suppressed_view
from llmrec.cli.sources import tell_report
from llmrec.cli.terminal import Terminal
from llmrec.cli.views import heading, interests_view, plural, ranking_view, section
from llmrec.errors import InputError

if TYPE_CHECKING:
    from llmrec.interests.profile import InterestProfile
    from llmrec.ranking.types import Ranking


def check_not_empty(profiles: Sequence[InterestProfile], *, has_catalog: bool) -> None:
    """Raise InputError when not one event of all could be used, with the reason of the first."""
    if any(profile.entries for profile in profiles):
        return
    cure = "check that --catalog is the right one" if has_catalog else "give the items with --catalog"
    raise InputError(f"not one event could be used ({profiles[0].report.summary()}): {cure}")


def tell_profile(terminal: Terminal, profile: InterestProfile) -> None:
    """Tell what a reader of a profile should know beside it."""
    tell_report(terminal, profile.user_id, profile.report)
    for note in profile.notes:
        terminal.note(f"{profile.user_id}: {note}")
    if profile.unlabelled:
        count = plural(len(profile.unlabelled), "event")
        terminal.note(f"{profile.user_id}: no interest was found in {count} of {len(profile.entries)}")


def tell_ranking(terminal: Terminal, ranking: Ranking) -> None:
    """Tell what a reader of a ranking should know beside it."""
    for note in ranking.notes:
        terminal.note(f"{ranking.user_id}: {note}")


def profile_view(
    terminal: Terminal, profile: InterestProfile, origin: str, *, list_suppressed: bool = False
) -> Sequence[RenderableType]:
    """A profile in full: every interest, where it comes from, what ended, what is suppressed."""
    found = "no event could be used"
    if profile.entries:
        count, interests = plural(len(profile.entries), "event"), plural(len(profile.hierarchy), "interest")
        found = f"{count}, {interests}; {origin}"
    parts = [heading(profile.user_id, found), Text(), interests_view(profile.hierarchy, terminal.out)]
    if profile.suppressed and not list_suppressed:
        parts.append(suppressed_line(profile.suppressed))
    if profile.ended:
        parts += [Text(), section("Ended"), ended_view(profile)]
    if list_suppressed:
        parts += [Text(), section("Suppressed"), suppressed_view(profile.suppressed)]
    if profile.predicted:
        parts += [Text(), section("Predicted, not shown by any event"), predicted_view(profile)]
    return (*parts, Text())


def predictions_view(profile: InterestProfile) -> Sequence[RenderableType]:
    """The interests predicted of one person, marked as such."""
    count = plural(len(profile.predicted), "predicted interest")
    return (
        heading(profile.user_id, f"{count}: guesses, not part of the profile and no evidence of anything"),
        Text(),
        predicted_view(profile),
        Text(),
    )


def recommendations_view(ranking: Ranking) -> Sequence[RenderableType]:
    """The items recommended to one person."""
    seconds = sum(ranking.seconds.values())
    count = plural(ranking.candidates, "candidate")
    return (
        heading(ranking.user_id, f"the best {len(ranking)} of {count}, ranked in {seconds:.1f} s"),
        Text(),
        ranking_view(ranking),
        Text(),
    )


def demo_person_view(
    terminal: Terminal, title: str, summary: str, profile: InterestProfile, ranking: Ranking, most: int
) -> Sequence[RenderableType]:
    """A person of the demo: who it is, the heaviest interests, the items recommended."""
    ranking_seconds = sum(ranking.seconds.values())
    return (
        heading(title, summary),
        Text(),
        section(f"Interests, from {plural(len(profile.entries), 'event')} ({profile.seconds:.1f} s)"),
        interests_view(profile.hierarchy, terminal.out, most=most),
        Text(),
        section(f"The best {len(ranking)} of {ranking.candidates} candidates ({ranking_seconds:.1f} s)"),
        ranking_view(ranking),
        Text(),
    )
