"""`llmrec diff`: what changed in a profile between two versions or two dates."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from llmrec.cli.failures import UsageError
from llmrec.cli.options import JsonOption, PersonArgument, StoreOption
from llmrec.cli.terminal import Terminal

if TYPE_CHECKING:
    from llmrec.interests.profile import InterestProfile
    from llmrec.store import Store


def diff(
    context: typer.Context,
    person: PersonArgument,
    since: Annotated[
        str | None,
        typer.Option("--from", metavar="WHEN", help="A version, or a date; else the version before."),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--to", metavar="WHEN", help="A version, or a date; else the last version.")
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what changed in a profile: + appeared, - gone, ~ changed.

    A version is a number from 1 up; the store keeps the last ones. A date, such as 2026-01-31, means the
    profile as the events and edits up to its beginning in UTC make it.

    \b
    llmrec diff ana
    llmrec diff ana --from 3 --to 5
    llmrec diff ana --from 2026-01-01
    """
    from llmrec.cli.documents import DiffDocument
    from llmrec.cli.interest_views import changes_view
    from llmrec.cli.kept import opened_kept_store
    from llmrec.cli.session import settings_from
    from llmrec.cli.views import heading

    terminal: Terminal = context.obj
    with opened_kept_store(store, settings_from()) as kept:
        after, after_name = _end(kept, person, until)
        before, before_name = _beginning(kept, person, since, until)
    document = DiffDocument(user_id=person, before=before_name, after=after_name, changes=before.diff(after))
    if as_json:
        terminal.write_json(document)
        return
    view = changes_view(document.changes) if document.changes else "nothing changed"
    terminal.show(heading(person, f"from {before_name} to {after_name}"), "", view)


def _end(store: Store, person: str, until: str | None) -> tuple[InterestProfile, str]:
    from llmrec.cli.kept import kept_profile

    last = kept_profile(store, person)
    if until is None:
        return last, f"version {store.profile_versions(person)[-1]}"
    return _named(store, last, until, "--to")


def _beginning(
    store: Store, person: str, since: str | None, until: str | None
) -> tuple[InterestProfile, str]:
    from llmrec.cli.kept import is_version, kept_profile, kept_version

    if since is not None:
        return _named(store, kept_profile(store, person), since, "--from")
    if until is not None and not is_version(until):
        raise UsageError("--to is a date, so where to begin is missing: give --from")
    versions = store.profile_versions(person)
    earlier = [version for version in versions if version < (int(until) if until else versions[-1])]
    if not earlier:
        raise UsageError(
            f"no earlier version of {person!r} is kept: give --from with a date such as 2026-01-31"
        )
    return kept_version(store, person, earlier[-1], "--from"), f"version {earlier[-1]}"


def _named(store: Store, last: InterestProfile, given: str, option: str) -> tuple[InterestProfile, str]:
    from llmrec.cli.interest_views import minute
    from llmrec.cli.kept import is_version, kept_version, seconds_of

    if is_version(given):
        return kept_version(store, last.user_id, int(given), option), f"version {int(given)}"
    seconds = seconds_of(given, option)
    return last.at(seconds), minute(seconds)
