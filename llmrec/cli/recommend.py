"""`llmrec recommend`: from events, a saved profile or one sentence to ranked items."""

from __future__ import annotations

from typing import Annotated, Any

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
    LogColumnOption,
    LogFormatOption,
    LogOption,
    ModelOption,
    PromptsOption,
    StoreOption,
    StrategyOption,
    VocabularyOption,
)
from llmrec.cli.ranking_options import (
    BasisChoice,
    BasisOption,
    CalibrateOption,
    CapOption,
    CostOption,
    DiversityOption,
    MaxCallsOption,
    MaxSecondsOption,
    MaxTokensOption,
    NoveltyOption,
    RankByOption,
    RankOption,
    SeedOption,
    WeightsOption,
    WhereOption,
    budget_from,
    reordering_from,
    strategy_options_from,
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
    log: LogOption = None,
    rank_by: RankByOption = None,
    rank_option: RankOption = None,
    basis: BasisOption = BasisChoice.both,
    weights: WeightsOption = None,
    seed: SeedOption = 0,
    diversity: DiversityOption = 0.0,
    calibrate: CalibrateOption = 0.0,
    novelty: NoveltyOption = 0.0,
    cap: CapOption = None,
    where: WhereOption = None,
    max_calls: MaxCallsOption = None,
    max_tokens: MaxTokensOption = None,
    max_seconds: MaxSecondsOption = None,
    cost: CostOption = False,
    event_format: FormatOption = None,
    column: ColumnOption = None,
    catalog_format: CatalogFormatOption = None,
    catalog_column: CatalogColumnOption = None,
    log_format: LogFormatOption = None,
    log_column: LogColumnOption = None,
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
    llmrec recommend events.jsonl --catalog items.jsonl --log log.jsonl
    llmrec profile events.csv --catalog items.csv --json > p.json
    llmrec recommend --profile p.json --catalog items.csv
    """
    from llmrec.cli.documents import CostsDocument, PersonCost, RankingsDocument
    from llmrec.cli.people import costs_view, show_ranking, tell_profile
    from llmrec.cli.progress import ProgressReport
    from llmrec.cli.session import opened_recommender, opened_store, settings_from
    from llmrec.cli.sources import (
        FileOptions,
        check_files,
        read_candidates,
        read_catalog,
        read_interaction_log,
        tell_report,
    )
    from llmrec.cli.whom import Given, people_to_recommend_to

    terminal: Terminal = context.obj
    given = Given(
        FileOptions(events, event_format, column or ()) if events else None, saved, tuple(say or ()), user
    )
    given.check()
    if not catalog and not candidates:
        raise UsageError("nothing to recommend: give the items with --catalog, or --candidates")
    settings = settings_from(
        model=model,
        strategy=strategy,
        language=language,
        vocabulary=vocabulary,
        prompts=prompts,
        weights=weights,
        ranking_strategy=rank_by,
        strategy_options=strategy_options_from(rank_option or ()),
    )
    reordering = reordering_from(
        diversity=diversity, calibration=calibrate, novelty=novelty, caps=cap or (), filters=where or ()
    )
    budget = budget_from(calls=max_calls, tokens=max_tokens, seconds=max_seconds)
    check_files(events, saved, catalog, candidates, log)
    items, catalog_report = read_catalog(
        terminal, FileOptions(catalog, catalog_format, catalog_column or ()) if catalog else None
    )
    named = read_candidates(terminal, candidates) if candidates else None
    choices, log_report = (
        read_interaction_log(terminal, FileOptions(log, log_format, log_column or ()), items, settings)
        if log
        else (None, None)
    )
    with opened_store(terminal, store, settings) as kept, ProgressReport(terminal) as progress:
        whom = people_to_recommend_to(terminal, given, kept)
        with opened_recommender(progress, items, settings, kept, choices) as (recommender, turn):
            which: dict[str, Any] = {
                "candidates": named,
                "k": k,
                "repeats": repeats,
                "basis": basis.value,
                "strategy": rank_by.value if rank_by is not None else None,
                "reordering": reordering,
            }
            profiles, rankings, costs = [], [], []
            for person in whom.people:
                turn.person = person.user_id
                profiles.append(person.profile(recommender))
                if cost:
                    most = recommender.ranking_cost(profiles[-1], **which)
                    costs.append(PersonCost(user_id=person.user_id, cost=most))
                else:
                    rankings.append(recommender.recommend(profiles[-1], **which, budget=budget, seed=seed))
    beside: dict[str, Any] = {
        "events_report": whom.reading,
        "catalog_report": catalog_report,
        "log_report": log_report,
        "notes": whom.notes,
    }
    costed = (
        CostsDocument(strategy=settings.ranking_strategy, costs=tuple(costs), budget=budget, **beside)
        if cost
        else None
    )
    if as_json:
        terminal.write_json(
            costed or RankingsDocument(rankings=tuple(rankings), profiles=tuple(profiles), **beside)
        )
        return
    if events and whom.read_in_parts:
        tell_report(terminal, events, whom.reading)
    tell_report(terminal, catalog or "the catalogue", catalog_report)
    if log and log_report is not None:
        tell_report(terminal, log, log_report)
    for note in whom.notes:
        terminal.note(note)
    for at, (person, profile) in enumerate(zip(whom.people, profiles, strict=True)):
        if person.is_new:
            tell_profile(terminal, profile)
        if costed is None:
            show_ranking(terminal, rankings[at])
    if costed is not None:
        terminal.show(*costs_view(costed))
