"""How the program fails: one sentence, the right exit code, nothing on standard output."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from llmrec.cli import main as program
from tests.cli.conftest import EVENTS, ITEMS, Program


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["nope"], "'nope'"),
        (["demo", "--nope"], "llmrec demo --help"),
        (["demo", "-k", "0"], "'-k'"),
        (["demo", "--strategy", "magic"], "'auto', 'anchored', 'open'"),
        (["demo", "--person", "bob"], "mara, tom, ines, priya, owen, linxiao"),
        (["profile"], "EVENTS"),
        (["profile", "/no/such/file.jsonl"], "there is no file /no/such/file.jsonl"),
        (["profile", EVENTS, "--catalog", "/no/such.jsonl"], "there is no file /no/such.jsonl"),
        (["profile", "-", "--catalog", "-"], "only one file can be standard input"),
        (["profile", EVENTS, "--catalog", ITEMS, "--user", "bob"], "choose among mara, tom"),
        (["profile", EVENTS, "--column", "sku"], "FIELD=COLUMN"),
        (["profile", EVENTS, "--column", "sku=x"], "choose among user_id, item_id"),
        (["profile", EVENTS, "--catalog", ITEMS, "--catalog-column", "sku=x"], "choose among id, title"),
        (["profile", EVENTS, "--vocabulary", "/no/such.jsonl"], "no vocabulary"),
        (["profile", EVENTS, "--prompts", "/no/such"], "no folder of prompts"),
        (["recommend", "--catalog", ITEMS], "nobody to recommend to"),
        (["recommend", "--say", "hello"], "--catalog"),
        (["recommend", "--say", " ", "--catalog", ITEMS], "--say is empty"),
        (["recommend", EVENTS, "--say", "hello", "--catalog", ITEMS], "--user"),
        (["recommend", EVENTS, "--profile", EVENTS, "--catalog", ITEMS], "--profile stands for the events"),
        (["recommend", "--user", "bob", "--catalog", ITEMS], "the store holds no profile of 'bob'"),
        (["recommend", EVENTS, "--catalog", ITEMS, "--rank-by", "magic"], "'likelihood_ratio', 'listwise'"),
        (["recommend", EVENTS, "--catalog", ITEMS, "--basis", "magic"], "'both', 'history', 'profile'"),
        (["recommend", EVENTS, "--catalog", ITEMS, "--weights", "/no/such.json"], "no file of weights at"),
        (["recommend", EVENTS, "--catalog", ITEMS, "--log", "/no/such.jsonl"], "no file /no/such.jsonl"),
        (["recommend", EVENTS, "--catalog", ITEMS, "--log", EVENTS, "--log-column", "x=y"], "--log-column"),
        (["recommend", EVENTS, "--catalog", "-", "--log", "-"], "only one file can be standard input"),
        (["recommend", EVENTS, "--catalog", ITEMS, "--diversity", "2"], "--diversity is 2"),
        (["recommend", EVENTS, "--catalog", ITEMS, "--cap", "brand"], "write it as brand=2"),
        (["recommend", EVENTS, "--catalog", ITEMS, "--where", "year"], "has no comparison"),
        (["recommend", EVENTS, "--catalog", ITEMS, "--max-calls", "-1"], "--max-calls is -1"),
        (["prompts", "show", "no/such"], "llmrec prompts list"),
        (["prompts", "render", "nothing"], "llmrec prompts list"),
    ],
)
def test_wrong_usage(llmrec_run: Program, arguments: list[str], part: str) -> None:
    outcome = llmrec_run(*arguments)
    assert outcome.code == 2
    assert outcome.out == ""
    assert part in outcome.error


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["profile", ITEMS], "--column user_id=..."),
        (["profile", EVENTS, "--column", "item_id=asin"], "which --column names for item_id"),
        (["profile", EVENTS, "--catalog", EVENTS], "--catalog-column id=..."),
        (["recommend", "--profile", EVENTS, "--catalog", ITEMS], "is not JSON"),
        (["demo", "--model", "nonsense"], "write embedded, llama-cpp:PATH or openai:NAME@URL"),
        (["demo", "--model", "llama-cpp:/no/such.gguf"], "there is no model file"),
        (["demo", "--store", "/dev/null/store.sqlite3"], "the store at /dev/null/store.sqlite3"),
    ],
)
def test_failures(llmrec_run: Program, arguments: list[str], part: str) -> None:
    if "llama-cpp:/no/such.gguf" in arguments:
        pytest.importorskip("llama_cpp")
    outcome = llmrec_run(*arguments)
    assert outcome.code == 1
    assert outcome.out == ""
    assert part in outcome.error


@pytest.mark.parametrize(
    ("name", "value"), [("LLMREC_THREADS", "0"), ("LLMREC_FUSION__BM25", "x"), ("LLMREC_STRATEGY", "magic")]
)
def test_a_bad_variable_is_named(
    llmrec_run: Program, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    outcome = llmrec_run("demo")
    assert outcome.code == 2
    assert name in outcome.error


def _broken(*_: object, **__: object) -> None:
    raise KeyError("inside")


def test_a_fault_of_our_own_is_one_sentence_too(llmrec_run: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmrec.demo.run_demo", _broken)
    outcome = llmrec_run("demo")
    assert outcome.code == 1
    assert "KeyError: 'inside'" in outcome.error
    assert "--debug" in outcome.error


@pytest.mark.parametrize("arguments", [["--debug", "demo"], ["demo", "--debug"]])
def test_debug_shows_the_traceback_wherever_it_stands(
    llmrec_run: Program, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setattr("llmrec.demo.run_demo", _broken)
    outcome = llmrec_run(*arguments)
    assert outcome.code == 1
    assert "Traceback" in outcome.err
    assert "_broken" in outcome.err


def test_debug_by_variable(llmrec_run: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmrec.demo.run_demo", _broken)
    monkeypatch.setenv("LLMREC_DEBUG", "1")
    assert "Traceback" in llmrec_run("demo").err
    monkeypatch.setenv("LLMREC_DEBUG", "0")
    assert "Traceback" not in llmrec_run("demo").err


def test_an_interrupted_run_ends_with_130(llmrec_run: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("llmrec.demo.run_demo", interrupted)
    outcome = llmrec_run("demo")
    assert outcome.code == 130
    assert outcome.error == "stopped"


def test_warnings_of_the_library_are_shown_and_nothing_stays_attached(
    llmrec_run: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def warning(*_: object, **__: object) -> None:
        logging.getLogger("llmrec.llm.cache").warning("answers are no longer kept in %s", "here\nor there")
        _broken()

    monkeypatch.setattr("llmrec.demo.run_demo", warning)
    assert "warning: answers are no longer kept in here or there" in llmrec_run("demo").err.splitlines()
    assert logging.getLogger("llmrec").handlers == []
    assert logging.getLogger("llmrec").level == logging.NOTSET


def test_without_a_command_the_help_is_shown_and_it_is_wrong_usage(llmrec_run: Program) -> None:
    for arguments, word in (([], "recommend"), (["models"], "check"), (["prompts"], "render")):
        outcome = llmrec_run(*arguments)
        assert outcome.code == 2
        assert word in outcome.out
        assert outcome.err == ""


def test_version_and_help(llmrec_run: Program) -> None:
    assert llmrec_run("--version").out == "llmrec 0.1.0\n"
    help_text = llmrec_run("--help")
    assert help_text.code == 0
    assert "Exit codes: 0 done; 1 failed" in " ".join(help_text.out.split())


@pytest.mark.parametrize("columns", ["40", "60", "100"])
@pytest.mark.parametrize(
    "command",
    [
        [],
        *([name] for name in ("demo", "profile", "recommend", "edit", "diff", "forget", "anticipate")),
        ["models", "check"],
    ],
)
def test_help_names_every_option_in_full(
    llmrec_run: Program, monkeypatch: pytest.MonkeyPatch, columns: str, command: list[str]
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    text = llmrec_run(*command, "--help").out
    expected = {
        (): ["--version", "--debug"],
        ("demo",): ["--person ID", "--model SPEC", "--strategy", "--store PATH", "--json", "--k"],
        ("profile",): ["--catalog-column FIELD=COLUMN", "--prompts FOLDER", "--at DATE", "--suppressed"],
        ("edit",): ["--under INTEREST", "--top", "--dry-run", "--store PATH"],
        ("diff",): ["--from WHEN", "--to WHEN"],
        ("forget",): ["--interest INTEREST", "--item ID", "--domain NAME", "--everything", "--yes"],
        ("anticipate",): ["--user ID", "--catalog ITEMS", "--k"],
        ("recommend",): ["--candidates FILE", "--repeats", "--say TEXT", "--profile FILE"],
        ("models", "check"): ["--model SPEC", "--json"],
    }[tuple(command)]
    for option in expected:
        assert option in text


def run_process(*arguments: str, **options: object) -> subprocess.CompletedProcess[bytes]:
    root = str(Path(program.__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment,
        timeout=60,
        check=False,
        **options,  # type: ignore[call-overload]
    )


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from llmrec.cli.main import main; main(['--help']);"
        "heavy = {'llama_cpp', 'openai', 'networkx', 'numpy', 'bm25s', 'jinja2', 'pydantic_settings'};"
        "sys.exit(' '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    result = run_process("-c", code, capture_output=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("arguments", [["prompts", "list"], ["prompts", "list", "--json"]])
def test_a_reader_that_leaves_is_no_error(arguments: list[str]) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        result = run_process("-m", "llmrec.cli.main", *arguments, stdout=write_end, stderr=subprocess.PIPE)
    finally:
        os.close(write_end)
    assert result.returncode == 0
    assert result.stderr == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("arguments", [["prompts", "list"], ["prompts", "list", "--json"], ["--help"]])
def test_a_full_disk_is_told_in_one_line(arguments: list[str]) -> None:
    with Path("/dev/full").open("wb") as full:
        result = run_process("-m", "llmrec.cli.main", *arguments, stdout=full, stderr=subprocess.PIPE)
    assert result.returncode == 1
    lines = result.stderr.decode().splitlines()
    assert len(lines) == 1
    assert "the result cannot be written" in lines[0]


def test_a_terminal_that_cannot_show_a_letter_gets_another() -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    root = str(Path(program.__file__).parents[2])
    result = subprocess.run(
        [
            sys.executable,
            "-m",
            "llmrec.cli.main",
            "prompts",
            "show",
            "explanation/reason",
            "--language",
            "zh",
        ],
        env={**environment, "PYTHONPATH": root},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0
    assert "权重" in result.stdout.decode("utf-8")


def test_python_m_llmrec_ends_with_the_same_code() -> None:
    result = run_process("-m", "llmrec", "nope", capture_output=True)
    assert result.returncode == 2
    assert result.stderr.decode().startswith("llmrec: no such command 'nope'")
