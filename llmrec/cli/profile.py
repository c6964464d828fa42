"""`llmrec profile`: from events to a hierarchy of interests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from llmrec.cli.failures import UsageError
from llmrec.cli.options import (
    CatalogColumnOption,
    CatalogFormatOption,
    CatalogOption,
    ColumnOption,
    FormatOption,
    JsonOption,
    LanguageOption,
    ModelOption,
    PromptsOption,
    StoreOption,
    StrategyOption,
    VocabularyOption,
)
from llmrec.cli.terminal import Terminal

if TYPE_CHECKING:
    from llmrec.behavior.cleaning import CleaningReport
    from llmrec.cli.sources import FileOptions
    from llmrec.interests.profile import InterestProfile
    from llmrec.llm.base import Usage
    from llmrec.settings import Settings


def profile(
    context: typer.Context,
    events: Annotated[
        str | None, typer.Argument(metavar="EVENTS", help="A file of events, or - for stdin.")
    ] = None,
    catalog: CatalogOption = None,
    user: Annotated[
        str | None,
        typer.Option("--user", metavar="ID", help="Only this person; alone, their profile in the store."),
    ] = None,
    update: Annotated[
        bool, typer.Option("--update", help="Take the events as new ones into the profiles in the store.")
    ] = False,
    at: Annotated[
        str | None, typer.Option("--at", metavar="DATE", help="As it was then, such as 2026-01-31.")
    ] = None,
    suppressed: Annotated[
        bool, typer.Option("--suppressed", help="List the interests that are suppressed, and why.")
    ] = False,
    event_format: FormatOption = None,
    column: ColumnOption = None,
    catalog_format: CatalogFormatOption = None,
    catalog_column: CatalogColumnOption = None,
    model: ModelOption = None,
    strategy: StrategyOption = None,
    language: LanguageOption = None,
    store: StoreOption = None,
    vocabulary: VocabularyOption = None,
    prompts: PromptsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the interests behind events, with the evidence for each; or show a profile that is kept.

    Reads JSON lines, JSON, CSV, TSV, Parquet, RecBole and MovieLens files. Events that name an item need
    the catalogue it is in; sentences and searches need none. What --json writes, llmrec recommend --profile
    reads.

    \b
    llmrec profile events.jsonl --catalog items.jsonl
    llmrec profile new.jsonl --catalog items.jsonl --update
    llmrec profile --user ana --at 2026-01-31
    """
    from llmrec.cli.documents import ProfilesDocument
    from llmrec.cli.interest_views import minute
    from llmrec.cli.kept import seconds_of
    from llmrec.cli.people import profile_view
    from llmrec.cli.session import settings_from
    from llmrec.cli.sources import FileOptions

    terminal: Terminal = context.obj
    seconds = seconds_of(at, "--at") if at is not None else None
    settings = settings_from(
        model=model, strategy=strategy, language=language, vocabulary=vocabulary, prompts=prompts
    )
    if events is None:
        _check_alone(user, update=update, catalog=catalog)
        found = _kept(store, settings, user or "")
    else:
        found = _made(
            terminal,
            FileOptions(events, event_format, column or ()),
            FileOptions(catalog, catalog_format, catalog_column or ()) if catalog else None,
            user,
            settings,
            store,
            update=update,
            tell=not as_json,
        )
    shown = [(each.at(seconds) if seconds is not None else each, origin) for each, origin in found.profiles]
    if as_json:
        terminal.write_json(
            ProfilesDocument(
                profiles=tuple(each for each, _ in shown),
                events_report=found.events_report,
                catalog_report=found.catalog_report,
                usage=found.usage,
                notes=found.notes,
            )
        )
        return
    for each, origin in shown:
        when = f", as of {minute(seconds)}" if seconds is not None else ""
        terminal.show(*profile_view(terminal, each, origin + when, list_suppressed=suppressed))


@dataclass(frozen=True)
class _Found:
    """Profiles, each with where it comes from, and what reading the files told."""

    profiles: list[tuple[InterestProfile, str]]
    events_report: CleaningReport
    catalog_report: CleaningReport
    usage: Usage
    notes: tuple[str, ...] = ()


def _check_alone(user: str | None, *, update: bool, catalog: str | None) -> None:
    if update or catalog:
        raise UsageError(f"{'--update' if update else '--catalog'} is for events: name a file of EVENTS")
    if not user:
        raise UsageError("whose profile? name a file of EVENTS, or --user ID for one in the store")


def _kept(store: str | None, settings: Settings, user: str) -> _Found:
    """The profile of a person in the store."""
    from llmrec.behavior.cleaning import CleaningReport
    from llmrec.cli.kept import kept_profile, opened_kept_store
    from llmrec.llm.base import Usage

    with opened_kept_store(store, settings) as kept:
        profile = kept_profile(kept, user)
        origin = f"version {kept.profile_versions(user)[-1]} in the store"
    return _Found([(profile, origin)], CleaningReport(), CleaningReport(), Usage())


def _made(
    terminal: Terminal,
    events: FileOptions,
    catalog: FileOptions | None,
    user: str | None,
    settings: Settings,
    store: str | None,
    *,
    update: bool,
    tell: bool,
) -> _Found:
    """The profiles made from a file of events, or brought up to date with it; tells what was found."""
    from llmrec.cli.people import check_not_empty, tell_profile
    from llmrec.cli.progress import ProgressReport
    from llmrec.cli.session import opened_recommender, opened_store
    from llmrec.cli.sources import check_files, in_parts, read_catalog, read_people, tell_report
    from llmrec.llm.base import Usage

    check_files(events.path, catalog.path if catalog else None)
    people, reading = read_people(terminal, events, user)
    items, catalog_report = read_catalog(terminal, catalog)
    profiles, notes = [], []
    with (
        opened_store(terminal, store, settings) as kept,
        ProgressReport(terminal) as progress,
        opened_recommender(progress, items, settings, kept) as (recommender, turn),
    ):
        for person in people:
            turn.person = person.user_id
            last = kept.profile(person.user_id) if update else None
            if last is not None:
                profiles.append(recommender.update(last, person.events, report=person.report))
                continue
            if update:
                notes.append(f"{person.user_id}: the store held no profile, so one was made of these events")
            profiles.append(recommender.profile(person.events, user_id=person.user_id, report=person.report))
    check_not_empty(profiles, has_catalog=catalog is not None)
    if tell:
        if in_parts(people, reading):
            tell_report(terminal, events.path, reading)
        tell_report(terminal, catalog.path if catalog else "the catalogue", catalog_report)
        for note in notes:
            terminal.note(note)
        for profile in profiles:
            tell_profile(terminal, profile)
    return _Found(
        [(each, f"found in {each.seconds:.1f} s, strategy {each.strategy}") for each in profiles],
        reading,
        catalog_report,
        sum((each.usage for each in profiles), Usage()),
        tuple(notes),
    )
