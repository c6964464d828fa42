"""`llmrec profile`: from events to a hierarchy of interests."""

from __future__ import annotations

from typing import Annotated

import typer

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


def profile(
    context: typer.Context,
    events: Annotated[str, typer.Argument(metavar="EVENTS", help="A file of events, or - for stdin.")],
    catalog: CatalogOption = None,
    user: Annotated[
        str | None, typer.Option("--user", metavar="ID", help="Only this person; else everyone in turn.")
    ] = None,
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
    """Find the interests behind events, with the evidence for each.

    Reads JSON lines, JSON, CSV, TSV, Parquet, RecBole and MovieLens files. Events that name an item need
    the catalogue it is in; sentences and searches need none. What --json writes, llmrec recommend --profile
    reads.
    """
    from llmrec.cli.documents import ProfilesDocument
    from llmrec.cli.people import check_not_empty, profile_view, tell_profile
    from llmrec.cli.progress import ProgressReport
    from llmrec.cli.session import opened_recommender, opened_store, settings_from
    from llmrec.cli.sources import (
        FileOptions,
        check_files,
        in_parts,
        read_catalog,
        read_people,
        tell_report,
    )
    from llmrec.llm.base import Usage

    terminal: Terminal = context.obj
    settings = settings_from(
        model=model, strategy=strategy, language=language, vocabulary=vocabulary, prompts=prompts
    )
    check_files(events, catalog)
    people, reading = read_people(terminal, FileOptions(events, event_format, column or ()), user)
    items, catalog_report = read_catalog(
        terminal, FileOptions(catalog, catalog_format, catalog_column or ()) if catalog else None
    )
    with (
        opened_store(terminal, store, settings) as kept,
        ProgressReport(terminal) as progress,
        opened_recommender(progress, items, settings, kept) as (recommender, turn),
    ):
        profiles = []
        for person in people:
            turn.person = person.user_id
            profiles.append(recommender.profile(person.events, user_id=person.user_id, report=person.report))
    check_not_empty(profiles, has_catalog=catalog is not None)
    if as_json:
        terminal.write_json(
            ProfilesDocument(
                profiles=tuple(profiles),
                events_report=reading,
                catalog_report=catalog_report,
                usage=sum((found.usage for found in profiles), Usage()),
            )
        )
        return
    if in_parts(people, reading):
        tell_report(terminal, events, reading)
    tell_report(terminal, catalog or "the catalogue", catalog_report)
    for found in profiles:
        tell_profile(terminal, found)
    for found in profiles:
        terminal.show(*profile_view(terminal, found))
