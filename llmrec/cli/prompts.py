"""`llmrec prompts`: read the templates, and see what a model is shown."""

from __future__ import annotations

import json
from importlib import resources
from typing import Annotated, Any

import typer
from rich.text import Text

from llmrec.cli.failures import UsageError
from llmrec.cli.options import JsonOption, PromptsOption, show_help_without_command
from llmrec.cli.terminal import Terminal
from llmrec.errors import InputError

app = typer.Typer(
    invoke_without_command=True,
    callback=show_help_without_command,
    help="Read the prompts, and render them as a model sees them.",
)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Stage and name, as prompts list shows.")]
PromptLanguageOption = Annotated[
    str, typer.Option("--language", metavar="CODE", help="English where a prompt has no such language.")
]


@app.command("list")
def list_prompts(context: typer.Context, prompts: PromptsOption = None, as_json: JsonOption = False) -> None:
    """List every prompt with its languages, its fingerprint and where it lies."""
    from llmrec.cli.documents import PromptsDocument

    terminal: Terminal = context.obj
    found = _library(prompts).list()
    if as_json:
        terminal.write_json(PromptsDocument(prompts=tuple(found)))
        return
    for info in found:
        own = ("  yours", "green") if info.own else ("", "")
        terminal.show(
            Text.assemble((info.name, "bold"), "  ", (", ".join(info.languages), "cyan"), own),
            Text(f"  {info.fingerprint}  {info.path}", style="dim"),
        )


@app.command("show")
def show(
    context: typer.Context,
    name: NameArgument,
    language: PromptLanguageOption = "en",
    prompts: PromptsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the source of a template, to copy into a folder of your own (--prompts) and change."""
    from llmrec.cli.documents import PromptSource

    terminal: Terminal = context.obj
    library = _library(prompts)
    source = _source(library, name, language)
    if as_json:
        _, found_language = library.find(name, language)
        terminal.write_json(PromptSource(name=name, language=found_language, source=source))
    else:
        terminal.write_text(source.rstrip("\n"))


@app.command("render")
def render(
    context: typer.Context,
    name: NameArgument,
    language: PromptLanguageOption = "en",
    variables: Annotated[
        str | None,
        typer.Option("--variables", metavar="FILE", help="A JSON object, or -; else an example is used."),
    ] = None,
    prompts: PromptsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print a prompt as a model sees it, with example variables or your own."""
    from llmrec.cli.sources import check_files, read_text

    terminal: Terminal = context.obj
    check_files(variables)
    library = _library(prompts)
    _source(library, name, language)
    given = example_variables().get(name, {})
    if variables is not None:
        try:
            given = json.loads(read_text(terminal, variables, "variables"))
        except (ValueError, RecursionError) as error:
            raise InputError(
                f"the variables are not JSON ({error}): give an object of names and values"
            ) from error
    if not isinstance(given, dict):
        raise InputError("the variables are not a JSON object: give names and values")
    taken = {"name", "language"} & given.keys()
    if taken:
        raise InputError(f"a variable cannot be called {taken.pop()!r}: the library uses that name itself")
    rendered = library.render(name, language, **given)
    if as_json:
        terminal.write_json(rendered)
    else:
        terminal.write_text(rendered.text)


def example_variables() -> dict[str, dict[str, Any]]:
    """Variables with which each shipped prompt can be rendered, by its name."""
    text = resources.files("llmrec.cli").joinpath("prompt_examples.json").read_text("utf-8")
    examples: dict[str, dict[str, Any]] = json.loads(text)
    return examples


def _library(folder: Any) -> Any:
    from llmrec.cli.session import settings_from
    from llmrec.prompting.templates import PromptLibrary

    return PromptLibrary(settings_from(prompts=folder).prompts)


def _source(library: Any, name: str, language: str) -> str:
    try:
        source: str = library.source(name, language)
    except InputError as error:
        raise UsageError(str(error)) from error
    return source
