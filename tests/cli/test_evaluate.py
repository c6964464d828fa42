"""`llmrec evaluate`: what it shows, what it keeps, and what it refuses."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from llmrec.cli.evaluation_view import bands_table, beaten, evaluation_view
from llmrec.evaluation.types import EvaluationResult
from llmrec.llm.scripted import ScriptedModel
from tests.cli.conftest import Program
from tests.evaluation.made_datasets import shop
from tests.evaluation.test_guards import learned

OWN = ("--negatives", "random_negatives")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(shop(tmp_path_factory.mktemp("data") / "shop", people=20))


def test_baselines_alone_need_no_model(llmrec_run: Program, data: str, scripted: list[ScriptedModel]) -> None:
    done = llmrec_run("evaluate", data, *OWN, "--baselines-only")
    assert done.code == 0, done.err
    assert "20 people, 60 items, 6.0 candidates each" in " ".join(done.out.split())
    for name in ("random", "popularity", "bm25", "co-occurrence", "bm25+popularity+co-occurrence"):
        assert name in done.out
    assert "Chance: NDCG@10" in done.out
    assert "ranking by bm25" in done.err
    assert scripted == []


def test_a_model_stands_beside_the_baselines(
    llmrec_run: Program, data: str, scripted: list[ScriptedModel], tmp_path: Path
) -> None:
    arguments = (
        *("evaluate", data, *OWN, "--users", "6", "--model", "scripted:", "--strategy", "yes_no", "--bare"),
        *("--strategy", "auto", "--probes", "candidate-order,title-contamination", "--probe-people", "4"),
        *("--out", str(tmp_path / "run"), "--html", str(tmp_path / "page.html")),
    )
    done = llmrec_run(*arguments, "--json")
    assert done.code == 0, done.err
    result = EvaluationResult.model_validate_json(done.out)
    own = {system.name for system in result.systems if not system.is_baseline}
    assert own == {"llmrec", "llmrec-yes_no", "yes_no"}
    assert {probe.name for probe in result.probes} == {"candidate-order", "title-contamination"}
    assert result.settings["model"] == "scripted:"
    assert result.command.startswith(f"llmrec evaluate {data} --negatives random_negatives --users 6")
    assert "--strategy yes_no --strategy auto --bare" in result.command
    assert result.command.endswith("--json")
    assert "llmrec-yes_no" in (tmp_path / "page.html").read_text("utf-8")
    assert (tmp_path / "run" / "result.json").exists()
    assert len(scripted) == 1

    again = llmrec_run(*arguments)
    assert again.code == 0, again.err
    assert "ranking by" not in again.err
    assert "llmrec-yes_no" in again.out
    assert "Probes" in again.out


def test_given_negatives_are_those_of_given_targets(llmrec_run: Program, data: str) -> None:
    protocol = []
    for arguments in (OWN, ("--negatives", "random", "--count", "9"), ("--split", "given")):
        done = llmrec_run("evaluate", data, *arguments, "--baselines-only", "--json", "--users", "5")
        assert done.code == 0, done.err
        found = json.loads(done.out)["protocol"]
        protocol.append((found["split"], found["negatives"], found["negatives_name"], found["count"]))
    assert protocol == [
        ("given", "given", "random_negatives", 19),
        ("leave-one-out", "random", "", 9),
        ("given", "random", "", 19),
    ]


def test_a_cold_start_has_its_table(llmrec_run: Program, data: str) -> None:
    done = llmrec_run("evaluate", data, *OWN, "--baselines-only", "--cold-start", "--users", "5")
    assert done.code == 0, done.err
    assert "Cold start" in done.out
    lengths = [line.split()[0] for line in done.out.partition("Cold start")[2].splitlines() if line.strip()]
    assert lengths[-6:] == ["0", "1", "2", "3", "5", "10"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "there is no data set at nowhere"),
        (["DATA", "--catalog", "nowhere"], "there is no file of items at nowhere"),
        (["DATA", "--weights", "nowhere"], "there is no file of weights at nowhere"),
        (["DATA", "--paraphrase", "nowhere"], "there is no folder of prompts at nowhere"),
        (["DATA", "--strategy", "guess"], "there is no strategy 'guess': choose among auto, "),
        (["DATA", "--bare"], "--bare is for strategies"),
        (["DATA", "--baselines-only", "--bare"], "--baselines-only asks no model"),
        (["DATA", "--baselines-only", "--no-log"], "leave out --weights and --no-log"),
        (["DATA", "--probes", "order"], "there is no probe 'order': choose among candidate-order"),
        (["DATA", "--probes", "paraphrase", "--baselines-only"], "needs a model and --paraphrase FOLDER"),
        (["DATA", "--probes", "title-contamination", "--baselines-only"], "leave out --baselines-only"),
        (["DATA", "--count", "0"], "invalid value for '--count'"),
    ],
)
def test_wrong_usage(llmrec_run: Program, data: str, arguments: list[str], said: str) -> None:
    done = llmrec_run("evaluate", *(data if word == "DATA" else word for word in arguments))
    assert done.code == 2
    assert said in done.error


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--negatives", "nonsense"], "gives no negatives 'nonsense': name one of random_negatives"),
        (["--negatives", "given"], "gives several lists of negatives: name one of random_negatives"),
        (["--negatives", "all", "--probes", "target-position"], "no target has a place"),
    ],
)
def test_what_the_data_do_not_allow(llmrec_run: Program, data: str, arguments: list[str], said: str) -> None:
    done = llmrec_run("evaluate", data, *arguments, "--baselines-only")
    assert done.code == 1
    assert said in done.error


def test_all_probes_are_all_that_can_be(llmrec_run: Program, data: str) -> None:
    done = llmrec_run(
        "evaluate", data, *OWN, "--baselines-only", "--probes", "all", "--probe-people", "3", "--json"
    )
    assert done.code == 0, done.err
    names = dict.fromkeys(probe["name"] for probe in json.loads(done.out)["probes"])
    assert list(names) == [
        "candidate-order",
        "history-shuffled",
        "other-history",
        "target-first",
        "target-last",
    ]


def test_bands_leave_a_random_order_out(llmrec_run: Program, data: str) -> None:
    done = llmrec_run("evaluate", data, *OWN, "--baselines-only", "--cold-start", "--users", "5", "--json")
    result = EvaluationResult.model_validate_json(done.out)
    order = sorted(result.systems, key=lambda system: system.name != "random")
    best = {"ndcg@10": order[0].metrics["ndcg@10"].model_copy(update={"mean": 0.99})}
    best_random = [order[0].model_copy(update={"metrics": best}), *order[1:]]
    console = Console(width=80, record=True, file=io.StringIO())
    shown = result.model_copy(update={"systems": tuple(best_random)})
    console.print(bands_table(shown, shown.cold_start, console))
    text = console.export_text()
    assert "random" not in text
    assert "bm25" in text


def test_texts_alone_and_another_name_of_the_strategy(
    llmrec_run: Program, data: str, scripted: list[ScriptedModel], tmp_path: Path
) -> None:
    arguments = ("evaluate", data, *OWN, "--users", "5", "--model", "scripted:", "--rank-by", "none")
    done = llmrec_run(*arguments, "--no-log", "--least-rating", "3", "--json", "--out", str(tmp_path / "a"))
    assert done.code == 0, done.err
    result = EvaluationResult.model_validate_json(done.out)
    assert "llmrec-none" in {system.name for system in result.systems}
    assert "co-occurrence" in {system.name for system in result.systems}
    assert result.protocol.least_rating == 3
    assert result.settings["interaction log"] == "for the baselines alone"
    assert "--strategy none" in result.command
    rows = (tmp_path / "a" / "scores" / "llmrec-none.jsonl").read_text("utf-8")
    assert "bm25" in rows
    assert "popularity" not in rows


def test_weights_that_do_not_fit_are_refused_and_those_that_do_are_told_of(
    llmrec_run: Program, data: str, scripted: list[ScriptedModel], tmp_path: Path
) -> None:
    file = tmp_path / "weights.json"
    of_log = learned(basis="both", with_log=True)
    told = of_log.learned_from.model_copy(update={"dataset": Path(data).name})
    file.write_text(of_log.model_copy(update={"learned_from": told}).text(), "utf-8")
    arguments = ("evaluate", data, *OWN, "--model", "scripted:", "--strategy", "none", "--weights", str(file))
    done = llmrec_run(*arguments, "--no-log")
    assert done.code == 1
    assert "the learned weights are for the basis both with an interaction log" in done.error
    for part, taught in (("all", True), ("reporting", False)):
        done = llmrec_run(*arguments, "--part", part, "--json")
        assert done.code == 0, done.err
        result = EvaluationResult.model_validate_json(done.out)
        assert any("may have taught them" in note for note in result.notes) == taught
        assert result.settings["weights"] == str(file)


@pytest.mark.parametrize("width", [80, 40])
def test_no_line_is_wider_than_the_terminal(llmrec_run: Program, data: str, width: int) -> None:
    done = llmrec_run(
        "evaluate", data, *OWN, "--baselines-only", "--cold-start", "--probes", "other-history", "--json"
    )
    result = EvaluationResult.model_validate_json(done.out)
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(*evaluation_view(result, console), sep="\n")
    text = console.export_text()
    assert max(map(len, text.splitlines())) <= width
    assert "popularity" in text


def test_what_is_beaten_is_said(llmrec_run: Program, data: str, scripted: list[ScriptedModel]) -> None:
    done = llmrec_run("evaluate", data, *OWN, "--model", "scripted:", "--users", "8", "--json")
    result = EvaluationResult.model_validate_json(done.out)
    (sentence,) = beaten(result)
    assert sentence.startswith("llmrec ")
    for baseline in ("random", "popularity", "bm25", "co-occurrence", "bm25+popularity+co-occurrence"):
        assert baseline in sentence
