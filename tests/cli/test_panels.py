"""Help in parts: the common options first, nothing cut, nothing lost."""

from __future__ import annotations

import pytest
import typer.main

from llmrec.cli.main import app
from llmrec.cli.panels import BUDGET, FILES, MODEL, OPTIONS, RANKING, REORDERING
from tests.cli.conftest import Program


def parts_of(help_text: str) -> dict[str, str]:
    parts: dict[str, list[str]] = {}
    title = ""
    for line in help_text.splitlines():
        if line.endswith(":") and not line.startswith(" "):
            title = line.removesuffix(":")
        else:
            parts.setdefault(title, []).append(line)
    return {name: "\n".join(lines) for name, lines in parts.items()}


@pytest.mark.parametrize("columns", ["40", "80"])
def test_the_help_of_recommend_stands_in_parts_with_the_common_options_first(
    llmrec_run: Program, monkeypatch: pytest.MonkeyPatch, columns: str
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    parts = parts_of(llmrec_run("recommend", "--help").out)
    assert list(parts)[1:] == ["Arguments", OPTIONS, RANKING, REORDERING, BUDGET, FILES, MODEL]
    for title, options in {
        OPTIONS: ["--catalog ITEMS", "--say TEXT", "-k, --k", "--log FILE", "--json", "-h, --help"],
        RANKING: ["--rank-by NAME", "--basis <both|history|profile>", "--weights FILE", "--seed N"],
        REORDERING: ["--diversity 0..1", "--calibrate 0..1", "--novelty 0..1", "--cap NAME=N", "--where"],
        BUDGET: ["--max-calls N", "--max-tokens N", "--max-seconds S", "--cost"],
        FILES: ["--format FORMAT", "--log-format FORMAT", "--log-column FIELD=COLUMN"],
        MODEL: ["--model SPEC", "--store PATH", "--prompts FOLDER"],
    }.items():
        for option in options:
            assert f"\n  {option}" in f"\n{parts[title]}", option


def test_every_option_stands_in_the_help_once(llmrec_run: Program) -> None:
    lines = llmrec_run("recommend", "--help").out.partition(f"\n{OPTIONS}:")[2].splitlines()
    named = [line.split("  ")[1] for line in lines if line.startswith("  -")]
    command = typer.main.get_command(app).commands["recommend"]  # type: ignore[attr-defined]
    for parameter in command.params:
        if parameter.param_type_name == "option":
            name = parameter.opts[-1]
            assert len([words for words in named if name in words.replace(",", " ").split()]) == 1, name
