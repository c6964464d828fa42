"""`llmrec anticipate`: interests a person has not shown yet, predicted and marked as such."""

from __future__ import annotations

from pathlib import Path
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
    ModelOption,
    PromptsOption,
    StoreOption,
    StrategyOption,
    VocabularyOption,
)
from llmrec.cli.terminal import Terminal


def anticipate(
    context: typer.Context,
    who: Annotated[
        str,
        typer.Argument(metavar="PERSON|EVENTS", help="Someone whose profile is kept, or a file, or -."),
    ],
    k: Annotated[int, typer.Option("-k", "--k", min=1, help="How many interests to predict.")] = 5,
    catalog: CatalogOption = None,
    user: Annotated[
        str | None, typer.Option("--user", metavar="ID", help="Only this person of a file of events.")
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
    """Predict interests that a person has not shown yet, and say from what.

    They come from what lies near the person's interests, from people with like interests in the store, and
    from the model. They are guesses: the profile stays as it is, and nothing rests on them.

    \b
    llmrec anticipate ana
    llmrec anticipate events.jsonl --catalog items.jsonl -k 3
    """
    from llmrec.cli.documents import PredictionsDocument
    from llmrec.cli.people import check_not_empty, predictions_view, tell_profile
    from llmrec.cli.progress import ProgressReport
    from llmrec.cli.session import opened_recommender, opened_store, settings_from
    from llmrec.cli.sources import FileOptions, check_files, read_catalog, tell_report
    from llmrec.cli.whom import Given, people_to_recommend_to

    terminal: Terminal = context.obj
    settings = settings_from(
        model=model, strategy=strategy, language=language, vocabulary=vocabulary, prompts=prompts
    )
    check_files(catalog)
    with opened_store(terminal, store, settings) as kept, ProgressReport(terminal) as progress:
        given = Given(None, None, (), who)
        # Someone who is called like a file comes first: ./NAME is the file.
        if not kept.profile_versions(who) and _is_file(who):
            check_files(who, catalog)
            given = Given(FileOptions(who, event_format, column or ()), None, (), user)
        try:
            whom = people_to_recommend_to(terminal, given, kept)
        except UsageError as error:
            if given.events is not None:
                raise
            raise UsageError(f"{error}; nor is there a file of that name") from error
        items, catalog_report = read_catalog(
            terminal, FileOptions(catalog, catalog_format, catalog_column or ()) if catalog else None
        )
        with opened_recommender(progress, items, settings, kept) as (recommender, turn):
            profiles, predicted = [], []
            for person in whom.people:
                turn.person = person.user_id
                profiles.append(person.profile(recommender))
            # Everyone's profile is in the store by now, so that nobody's guesses depend on the order.
            for profile in profiles:
                turn.person = profile.user_id
                predicted.append(recommender.anticipate(profile, k=k))
    if given.events is not None:
        check_not_empty(profiles, has_catalog=catalog is not None)
    if as_json:
        terminal.write_json(
            PredictionsDocument(
                profiles=tuple(predicted), events_report=whom.reading, catalog_report=catalog_report
            )
        )
        return
    if given.events is not None and whom.read_in_parts:
        tell_report(terminal, who, whom.reading)
    tell_report(terminal, catalog or "the catalogue", catalog_report)
    for person, profile in zip(whom.people, predicted, strict=True):
        if person.is_new:
            tell_profile(terminal, profile)
        terminal.show(*predictions_view(profile))


def _is_file(who: str) -> bool:
    from llmrec.cli.sources import STANDARD_INPUT

    try:
        return who == STANDARD_INPUT or Path(who).is_file()
    except (OSError, ValueError):
        return False
