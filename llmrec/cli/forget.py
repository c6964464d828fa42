"""`llmrec forget`: delete what a person did, with everything that was made of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from llmrec.cli.failures import DONE, FAILED, UsageError
from llmrec.cli.options import JsonOption, PersonArgument, StoreOption
from llmrec.cli.terminal import Terminal

if TYPE_CHECKING:
    from rich.console import RenderableType

    from llmrec.forgetting import ForgetReport
    from llmrec.settings import Settings
    from llmrec.store import Store


def forget(
    context: typer.Context,
    person: PersonArgument,
    interest: Annotated[
        str | None,
        typer.Option("--interest", metavar="INTEREST", help="All events behind it; by its name or path."),
    ] = None,
    item: Annotated[str | None, typer.Option("--item", metavar="ID", help="All events about it.")] = None,
    domain: Annotated[
        str | None, typer.Option("--domain", metavar="NAME", help="All events about items of it, as films.")
    ] = None,
    everything: Annotated[bool, typer.Option("--everything", help="All that is kept of the person.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask whether to go on.")] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> int:
    """Delete what a person did, and all that was made of it; it cannot be undone.

    Events go from the store, and with them every version of the profile, every ranking and every answer of
    a model that was made from them, and what local models keep in LLMREC_PREFIX_FOLDER. Then the store is
    searched for what is left: a trace that is found is told, and ends the command with exit code 1.

    \b
    llmrec forget ana --interest "Films › Horror"
    llmrec forget ana --item tt0083658
    llmrec forget ana --everything
    """
    from llmrec.cli.kept import opened_kept_store
    from llmrec.cli.session import settings_from
    from llmrec.forgetting import forget as forget_in

    terminal: Terminal = context.obj
    wishes = {"--interest": interest, "--item": item, "--domain": domain}
    given = [name for name, value in wishes.items() if value is not None] + ["--everything"] * everything
    if len(given) != 1:
        raise UsageError(
            "what to forget? give one of --interest, --item, --domain and --everything"
            + (f", not {' and '.join(given)}" if given else "")
        )
    settings = settings_from()
    with opened_kept_store(store, settings) as kept:
        _confirm(_what_goes(kept, person, interest, item, domain), asked=not yes)
        files = _forget_files(settings)
        report = forget_in(kept, person, interest=interest, item=item, domain=domain, everything=everything)
    prefixes = report.forgotten.prefixes + files
    report = report.model_copy(
        update={"forgotten": report.forgotten.model_copy(update={"prefixes": prefixes})}
    )
    if as_json:
        terminal.write_json(report)
    else:
        terminal.show(*_report_view(report))
    if report.forgotten.traces:
        terminal.fail(
            f"a trace is left in {', '.join(report.forgotten.traces)}: "
            "run it again when no other process uses the store"
        )
        return FAILED
    return DONE


def _what_goes(store: Store, person: str, interest: str | None, item: str | None, domain: str | None) -> str:
    """What will be deleted, in words. Raises UsageError for a person or a thing that is not there."""
    from llmrec.cli.kept import kept_profile
    from llmrec.cli.sources import some
    from llmrec.cli.views import plural
    from llmrec.errors import InputError
    from llmrec.forgetting import events_to_forget

    if interest is None and item is None and domain is None:
        people = {one.user_id: one for one in store.people()}
        if person not in people:
            known = f"choose among {some(list(people))}" if people else "it keeps nobody"
            raise UsageError(f"the store keeps nothing of {person!r}: {known}")
        one = people[person]
        parts = [plural(one.events, "event"), plural(one.profiles, "version") + " of the profile"]
        return f"everything of {person!r} ({', '.join(parts)}, {plural(one.rankings, 'ranking')})"
    profile = kept_profile(store, person)
    try:
        what, event_ids = events_to_forget(profile, interest, item, domain, store=store)
    except InputError as error:
        domains = dict.fromkeys(e.item.domain for e in profile.entries if e.item and e.item.domain)
        if domain is not None and domains:
            cure = f"choose among {some(list(domains))}"
            raise UsageError(f"no event of {person!r} is about the domain {domain}: {cure}") from error
        raise UsageError(str(error)) from error
    return f"{what} of {person!r} ({plural(len(event_ids), 'event')} of {len(profile.entries)})"


def _confirm(what: str, *, asked: bool) -> None:
    from llmrec.behavior.text import clean_text

    if not asked:
        return
    if sys.stdin is None or not sys.stdin.isatty():
        raise UsageError("nobody is there to ask whether to go on: give --yes")
    typer.echo(clean_text(f"Forget {what}? It cannot be undone [y/N]: "), nl=False, err=True)
    if sys.stdin.readline().strip().casefold() not in ("y", "yes"):
        raise typer.Abort


def _forget_files(settings: Settings) -> int:
    """Remove the files in which local models keep what they read of people; returns how many went."""
    from llmrec.llm.prefix_files import forget_files

    return forget_files(settings.prefix_folder) if settings.prefix_folder is not None else 0


def _report_view(report: ForgetReport) -> list[RenderableType]:
    from llmrec.cli.views import facts, heading, plural, prose

    gone, left = report.forgotten, report.profile
    rows = [
        ("events", f"{gone.events:,}"),
        ("versions of the profile", f"{gone.profiles:,}"),
        ("rankings", f"{gone.rankings:,}"),
        ("answers of models", f"{gone.answers:,}"),
        ("texts local models had read", f"{gone.prefixes:,}"),
    ]
    parts: list[RenderableType] = [heading(report.user_id, f"forgotten: {report.what}"), "", facts(rows), ""]
    if gone.traces:
        parts.append(prose(f"A trace is left in {', '.join(gone.traces)}.", "red"))
    else:
        parts.append(Text("No trace of it was found.", style="green"))
    if not gone.vacuumed:
        parts.append(prose("The file was not written anew, since another process uses it.", "dim"))
    if left is None:
        parts.append(Text("Nothing is left of the profile."))
    else:
        events, interests = plural(len(left.entries), "event"), plural(len(left.hierarchy), "interest")
        parts.append(prose(f"What is left: {events}, {interests}."))
    return parts
