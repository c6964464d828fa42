"""`llmrec recommend`: from events, a saved profile or one sentence to ranked items."""

from __future__ import annotations

from typing import Annotated

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
    LimitOption,
    ModelOption,
    PromptsOption,
    StoreOption,
    StrategyOption,
    VocabularyOption,
)
from llmrec.cli.terminal import Terminal


def recommend(
    context: typer.Context,
    events: Annotated[
        str | None, typer.Argument(metavar="EVENTS", help="A file of events, or - for stdin.")
    ] = None,
    catalog: CatalogOption = None,
    saved: Annotated[
        str | None,
        typer.Option("--profile", metavar="FILE", help="What llmrec profile --json wrote, or -."),
    ] = None,
    say: Annotated[
        list[str] | None,
        typer.Option("--say", metavar="TEXT", help="A sentence of the person's own. Repeatable."),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option("--user", metavar="ID", help="Only this person; alone, their profile in the store."),
    ] = None,
    candidates: Annotated[
        str | None,
        typer.Option("--candidates", metavar="FILE", help="What to rank: items, or ids one a line; or -."),
    ] = None,
    k: LimitOption = 10,
    repeats: Annotated[
        bool, typer.Option("--repeats", help="Recommend what the person already touched, too.")
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
    """Rank items for a person, best first, and say why.

    The person is what EVENTS tell, a saved --profile, a sentence or more with --say, or --user alone: the
    last profile of theirs in the store. Everyone in a file gets recommendations, in turn, unless --user
    names one.

    \b
    llmrec recommend events.jsonl --catalog items.jsonl
    llmrec recommend --say "quiet science fiction" --catalog items.jsonl
    llmrec profile events.csv --catalog items.csv --json > p.json
    llmrec recommend --profile p.json --catalog items.csv
    """
    from llmrec.cli.documents import RankingsDocument
    from llmrec.cli.people import recommendations_view, tell_profile, tell_ranking
    from llmrec.cli.progress import ProgressReport
    from llmrec.cli.session import opened_recommender, opened_store, settings_from
    from llmrec.cli.sources import FileOptions, check_files, read_candidates, read_catalog, tell_report
    from llmrec.cli.whom import Given, people_to_recommend_to

    terminal: Terminal = context.obj
    given = Given(
        FileOptions(events, event_format, column or ()) if events else None, saved, tuple(say or ()), user
    )
    given.check()
    if not catalog and not candidates:
        raise UsageError("nothing to recommend: give the items with --catalog, or --candidates")
    settings = settings_from(
        model=model, strategy=strategy, language=language, vocabulary=vocabulary, prompts=prompts
    )
    check_files(events, saved, catalog, candidates)
    items, catalog_report = read_catalog(
        terminal, FileOptions(catalog, catalog_format, catalog_column or ()) if catalog else None
    )
    named = read_candidates(terminal, candidates) if candidates else None
    with opened_store(terminal, store, settings) as kept, ProgressReport(terminal) as progress:
        whom = people_to_recommend_to(terminal, given, kept)
        with opened_recommender(progress, items, settings, kept) as (recommender, turn):
            profiles, rankings = [], []
            for person in whom.people:
                turn.person = person.user_id
                profiles.append(person.profile(recommender))
                rankings.append(recommender.recommend(profiles[-1], candidates=named, k=k, repeats=repeats))
    if as_json:
        terminal.write_json(
            RankingsDocument(
                rankings=tuple(rankings),
                profiles=tuple(profiles),
                events_report=whom.reading,
                catalog_report=catalog_report,
                notes=whom.notes,
            )
        )
        return
    if events and whom.read_in_parts:
        tell_report(terminal, events, whom.reading)
    tell_report(terminal, catalog or "the catalogue", catalog_report)
    for note in whom.notes:
        terminal.note(note)
    for person, profile, ranking in zip(whom.people, profiles, rankings, strict=True):
        if person.is_new:
            tell_profile(terminal, profile)
        tell_ranking(terminal, ranking)
        terminal.show(*recommendations_view(ranking))
