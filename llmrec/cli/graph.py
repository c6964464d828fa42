"""`llmrec graph`: a profile as a page, a picture or a graph for other programs."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated

import typer

from llmrec.cli.failures import UsageError
from llmrec.cli.options import JsonOption, StoreOption
from llmrec.cli.terminal import Terminal
from llmrec.errors import InputError

if TYPE_CHECKING:
    from llmrec.interests.export import GraphFormat
    from llmrec.interests.profile import InterestProfile


class GraphFormatChoice(str, Enum):
    """What a graph is written as."""

    html = "html"
    mermaid = "mermaid"
    json = "json"
    graphml = "graphml"


def graph(
    context: typer.Context,
    person: Annotated[
        str | None,
        typer.Argument(metavar="PERSON", help="Whose last profile in the store; or which of --profile."),
    ] = None,
    saved: Annotated[
        str | None,
        typer.Option("--profile", metavar="FILE", help="What llmrec profile --json wrote, or -."),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", metavar="FILE", help="Ends in .html, .mmd, .json or .graphml."),
    ] = None,
    graph_format: Annotated[
        GraphFormatChoice | None,
        typer.Option("--format", help="Else by the file's name; mermaid where no file is named."),
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a profile as a graph: the person, interests, events and items.

    html is one page to open in a browser: the tree, the events behind each interest, the weights. mermaid
    draws the tree of interests; json (node-link) and graphml hold everything, for other programs. Without
    --output the graph goes to standard output. --json alone is --format json; with --output it tells what
    was written.

    \b
    llmrec graph ana -o ana.html
    llmrec graph --profile p.json > ana.mmd
    """
    from llmrec.cli.documents import GraphDocument
    from llmrec.cli.views import plural
    from llmrec.interests.export import format_of, graph_text, write_graph

    terminal: Terminal = context.obj
    kind: GraphFormat | None = graph_format.value if graph_format is not None else None
    if as_json and output is None and kind not in (None, "json"):
        raise UsageError(f"--json writes JSON and --format asks for {kind}: leave one of them out")
    if output is not None and kind is None:
        try:
            kind = format_of(output)
        except InputError as error:
            raise UsageError(f"{error}, or give --format") from error
    found = _profile(terminal, person, saved, store)
    if output is None:
        text = graph_text(found, kind or ("json" if as_json else "mermaid"))
        terminal.write_text(text.rstrip("\n"))
        return
    path = write_graph(found, output, kind)
    made = found.graph
    written = GraphDocument(
        user_id=found.user_id,
        path=str(path),
        format=kind or format_of(path),
        nodes=made.number_of_nodes(),
        edges=made.number_of_edges(),
    )
    if as_json:
        terminal.write_json(written)
    else:
        interests, events = plural(len(found.hierarchy), "interest"), plural(len(found.entries), "event")
        terminal.note(f"{found.user_id}: {interests} and {events} written to {path}", label="done")


def _profile(terminal: Terminal, person: str | None, saved: str | None, store: str | None) -> InterestProfile:
    """The profile that is meant. Raises UsageError when that is none or several."""
    from llmrec.cli.kept import kept_profile, opened_kept_store
    from llmrec.cli.session import settings_from
    from llmrec.cli.sources import check_files, read_profiles, some

    if saved is not None:
        check_files(saved)
        profiles = read_profiles(terminal, saved, person)
        if len(profiles) > 1:
            known = some([profile.user_id for profile in profiles])
            raise UsageError(f"--profile holds several people: name one of {known}")
        return profiles[0]
    if person is None:
        raise UsageError(
            "nobody is named: name a person whose profile the store holds, or give --profile FILE"
        )
    with opened_kept_store(store, settings_from()) as kept:
        return kept_profile(kept, person)
