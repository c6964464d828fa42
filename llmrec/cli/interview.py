"""`llmrec interview`: questions in the terminal, chosen by what answers would change, then items."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from llmrec.cli.failures import UsageError
from llmrec.cli.options import (
    CatalogColumnOption,
    CatalogFormatOption,
    CatalogOption,
    JsonOption,
    LanguageOption,
    LimitOption,
    ModelOption,
    PromptsOption,
    StoreOption,
    VocabularyOption,
)
from llmrec.cli.terminal import Terminal

if TYPE_CHECKING:
    from rich.console import Console

    from llmrec.cli.documents import GivenAnswer, InterviewEnd
    from llmrec.cli.progress import ProgressReport
    from llmrec.interests.profile import InterestProfile
    from llmrec.ranking.interview import Question
    from llmrec.recommender import Recommender


def interview(
    context: typer.Context,
    catalog: CatalogOption = None,
    user: Annotated[
        str | None, typer.Option("--user", metavar="ID", help="Who answers; their profile goes on.")
    ] = None,
    questions: Annotated[int, typer.Option("--questions", min=1, help="Ask this many at most.")] = 5,
    k: LimitOption = 10,
    catalog_format: CatalogFormatOption = None,
    catalog_column: CatalogColumnOption = None,
    model: ModelOption = None,
    language: LanguageOption = None,
    store: StoreOption = None,
    vocabulary: VocabularyOption = None,
    prompts: PromptsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Get to know somebody by questions, and recommend first items.

    Each question is the one whose answer would change the order of the catalogue most; they end when answers
    change little. Answer with a number or in words of your own; an empty line skips, Ctrl-D ends, and what
    was said until then is kept. Answers are read from standard input, one a line.

    \b
    llmrec interview --catalog items.jsonl
    llmrec interview --catalog items.jsonl --user ana --questions 3
    printf '1\\nno horror\\n' | llmrec interview --catalog items.jsonl --json
    """
    from llmrec.cli.documents import InterviewDocument
    from llmrec.cli.people import profile_view, show_ranking
    from llmrec.cli.progress import ProgressReport
    from llmrec.cli.session import opened_recommender, opened_store, settings_from
    from llmrec.cli.sources import STANDARD_INPUT, FileOptions, check_files, read_catalog, tell_report
    from llmrec.cli.whom import SOMEBODY

    terminal: Terminal = context.obj
    if not catalog:
        raise UsageError("nothing to ask about: give the items with --catalog")
    if catalog == STANDARD_INPUT:
        raise UsageError("standard input is for the answers: name a file of items with --catalog")
    if user == "":
        raise UsageError("--user is empty: give an id")
    settings = settings_from(model=model, language=language, vocabulary=vocabulary, prompts=prompts)
    check_files(catalog)
    items, report = read_catalog(terminal, FileOptions(catalog, catalog_format, catalog_column or ()))
    tell_report(terminal, catalog, report)
    with (
        opened_store(terminal, store, settings) as kept,
        ProgressReport(terminal) as progress,
        opened_recommender(progress, items, settings, kept) as (recommender, turn),
    ):
        turn.person = user or SOMEBODY
        known = kept.profile(user) if user is not None else None
        profile = known if known is not None else recommender.profile([], user_id=turn.person)
        talk = _Talk(terminal, progress, terminal.err if as_json else terminal.out)
        profile, given, ended = talk.hold(recommender, profile, questions)
        ranking = recommender.recommend(profile, k=k)
    if as_json:
        terminal.write_json(
            InterviewDocument(
                answers=tuple(given), ended=ended, profile=profile, ranking=ranking, catalog_report=report
            )
        )
        return
    terminal.show(*profile_view(terminal, profile, f"from an interview of {len(given)} answers"))
    show_ranking(terminal, ranking)


class _Talk:
    """Asks, listens and takes the answers in."""

    def __init__(self, terminal: Terminal, progress: ProgressReport, console: Console) -> None:
        self._terminal = terminal
        self._progress = progress
        self._console = console

    def hold(
        self, recommender: Recommender, profile: InterestProfile, most: int
    ) -> tuple[InterestProfile, list[GivenAnswer], InterviewEnd]:
        """Ask up to `most` questions. Returns the profile, what was answered, and why the questions ended."""
        from llmrec.cli.documents import GivenAnswer

        asked: list[str] = []
        given: list[GivenAnswer] = []
        while len(asked) < most:
            question = recommender.ask(profile, asked=asked)
            if question is None:
                self._terminal.note("further answers would hardly change what is recommended")
                return profile, given, "no more questions pay"
            with self._progress.paused():
                answer = self._answer_to(question, len(asked) + 1)
            if answer is None:
                return profile, given, "the person stopped"
            asked.append(question.id)
            if answer:
                profile = recommender.answer(profile, question, answer)
                given.append(GivenAnswer(question=question, answer=answer))
        return profile, given, "as many as were asked for"

    def _answer_to(self, question: Question, number: int) -> str | None:
        """The id of an answer offered, or own words; empty when skipped, None when the person stops."""
        from llmrec.cli.views import plain

        self._terminal.tell(
            self._console,
            plain(f"{number}. {question.text}", "bold"),
            *(plain(f"   {place}  {answer.text}") for place, answer in enumerate(question.answers, start=1)),
        )
        while True:
            line = _read_line(self._terminal.err)
            if line is None:
                return None
            words = line.strip()
            if not words.isdecimal():
                return words
            if 1 <= int(words) <= len(question.answers):
                return question.answers[int(words) - 1].id
            self._terminal.note(f"there is no answer {words}: give 1 to {len(question.answers)}, or words")


def _read_line(console: Console) -> str | None:
    """A line of standard input; None at its end."""
    if sys.stdin is None:
        return None
    if sys.stdin.isatty():
        console.print("> ", end="")
    line = sys.stdin.readline()
    if not line and sys.stdin.isatty():
        console.print()
    return line if line else None
