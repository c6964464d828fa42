"""Profiles and rankings as several commands tell and show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from llmrec.cli.interest_views import ended_view, predicted_view, suppressed_line, suppressed_view
from llmrec.cli.sources import tell_report
from llmrec.cli.terminal import Terminal
from llmrec.cli.views import facts, heading, interests_view, plural, ranking_view, section
from llmrec.errors import InputError

if TYPE_CHECKING:
    from llmrec.cli.documents import CostsDocument
    from llmrec.interests.profile import InterestProfile
    from llmrec.ranking.types import Ranking

MOST_FAILURES = 3


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
    """Tell what a reader of a ranking should know beside it: what failed as warnings, then the notes."""
    from llmrec.explanation.notes import failure_notes

    for failure in ranking.failures[:MOST_FAILURES]:
        told = f"{failure.what} failed ({failure.reason}): {failure.stand_in} stood in for it"
        terminal.note(f"{ranking.user_id}: {told}", label="warning")
    if len(ranking.failures) > MOST_FAILURES:
        more = plural(len(ranking.failures) - MOST_FAILURES, "more failure")
        terminal.note(f"{ranking.user_id}: {more}, all of them in --json", label="warning")
    of_failures = set(failure_notes(ranking.failures))
    for note in ranking.notes:
        if note not in of_failures:
            terminal.note(f"{ranking.user_id}: {note}")


def show_ranking(terminal: Terminal, ranking: Ranking) -> None:
    """Show the items recommended to one person, and tell beside them what a reader should know."""
    terminal.show(*recommendations_view(terminal, ranking))
    tell_ranking(terminal, ranking)


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


def recommendations_view(terminal: Terminal, ranking: Ranking) -> Sequence[RenderableType]:
    """The items recommended to one person."""
    seconds = sum(ranking.seconds.values())
    count = plural(ranking.candidates, "candidate")
    return (
        heading(ranking.user_id, f"the best {len(ranking)} of {count}, ranked in {seconds:.1f} s"),
        Text(),
        ranking_view(ranking, terminal.out),
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
        ranking_view(ranking, terminal.out),
        Text(),
    )


def costs_view(document: CostsDocument) -> Sequence[RenderableType]:
    """What ranking would ask of the model at most, person by person."""
    rows = [
        (
            each.user_id,
            f"{plural(each.cost.calls, 'call')}, {each.cost.prompt_tokens:,} tokens to read, "
            f"{each.cost.completion_tokens:,} to write",
        )
        for each in document.costs
    ]
    told = (
        f"by {document.strategy}, without a budget; nothing was ranked, and finding interests is not counted"
    )
    return (heading("What ranking would ask of the model at most", told), Text(), facts(rows), Text())
