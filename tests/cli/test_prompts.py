from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from llmrec.cli.prompts import example_variables
from llmrec.prompting.templates import PromptLibrary
from tests.cli.conftest import Program

SHIPPED = [(info.name, language) for info in PromptLibrary().list() for language in info.languages]


@pytest.mark.parametrize(("name", "language"), SHIPPED)
def test_every_shipped_prompt_renders_out_of_the_box(llmrec_run: Program, name: str, language: str) -> None:
    assert name in example_variables()
    outcome = llmrec_run("prompts", "render", name, "--language", language, "--json")
    assert outcome.code == 0, outcome.err
    rendered = json.loads(outcome.out)
    assert (rendered["name"], rendered["language"]) == (name, language)
    given = json.dumps(example_variables()[name])
    assert rendered["text"].strip()
    if "Left Hand" in given:
        assert "The Left Hand of Darkness" in rendered["text"]


def test_no_example_is_left_of_a_prompt_that_is_gone() -> None:
    assert set(example_variables()) == {name for name, _ in SHIPPED}


def test_the_list_names_every_prompt(llmrec_run: Program) -> None:
    text = llmrec_run("prompts", "list").out
    found = json.loads(llmrec_run("prompts", "list", "--json").out)["prompts"]
    assert {info["name"] for info in found} == {name for name, _ in SHIPPED}
    for info in found:
        assert info["name"] in text
        assert info["fingerprint"] in text
        assert info["own"] is False


def test_show_prints_the_source_as_it_is(llmrec_run: Program) -> None:
    source = PromptLibrary().source("ranking/history", "zh")
    assert llmrec_run("prompts", "show", "ranking/history", "--language", "zh").out == source.rstrip() + "\n"
    shown = json.loads(llmrec_run("prompts", "show", "ranking/history", "--json").out)
    assert shown["source"] == PromptLibrary().source("ranking/history")


@pytest.mark.parametrize(("asked", "found"), [("fr", "en"), ("zh", "zh")])
def test_show_names_the_language_that_was_found(llmrec_run: Program, asked: str, found: str) -> None:
    shown = json.loads(llmrec_run("prompts", "show", "ranking/history", "--language", asked, "--json").out)
    assert shown["language"] == found
    assert shown["source"] == PromptLibrary().source("ranking/history", found)


def test_a_folder_of_ones_own_comes_first(llmrec_run: Program, tmp_path: Path) -> None:
    own = tmp_path / "own" / "ranking" / "en" / "item.jinja"
    own.parent.mkdir(parents=True)
    own.write_text('{% from "macros.jinja" import fence %}MINE {{ fence(item.title) }}', encoding="utf-8")
    folder = str(tmp_path / "own")
    assert llmrec_run("prompts", "render", "ranking/item", "--prompts", folder).out.startswith(
        "MINE The Left"
    )
    listed = json.loads(llmrec_run("prompts", "list", "--json", "--prompts", folder).out)["prompts"]
    assert [info["name"] for info in listed if info["own"]] == ["ranking/item"]


def test_variables_come_from_a_file_or_standard_input(
    llmrec_run: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = json.dumps({"item": {"title": "球状闪电", "categories": ""}})
    file = tmp_path / "variables.json"
    file.write_text(variables, encoding="utf-8")
    arguments = ["prompts", "render", "ranking/item", "--variables"]
    assert llmrec_run(*arguments, str(file)).out == " 球状闪电\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(variables.encode()), encoding="ascii"))
    assert llmrec_run(*arguments, "-").out == " 球状闪电\n"


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object"),
        ("{}", "'item' is undefined"),
        ('{"name": 1}', "cannot be called 'name'"),
    ],
)
def test_variables_that_cannot_be(llmrec_run: Program, tmp_path: Path, content: str, part: str) -> None:
    file = tmp_path / "variables.json"
    file.write_text(content, encoding="utf-8")
    outcome = llmrec_run("prompts", "render", "ranking/item", "--variables", str(file))
    assert outcome.code == 1
    assert part in outcome.error
