from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llmrec.cli.main import app
from llmrec.demo import DemoProgress, DemoResult, run_demo, sample_events, sample_items, sample_people
from llmrec.errors import InputError
from llmrec.llm.scripted import ScriptedModel
from llmrec.store import Store
from tests.builders import scoring_model
from tests.cli.conftest import Program


def test_the_sample_is_whole() -> None:
    people = [person.id for person in sample_people()]
    assert len(people) == 6
    assert set(people) == {event.user_id for event in sample_events()}
    assert {event.item_id for event in sample_events() if event.item_id} <= {
        item.id for item in sample_items()
    }


def test_the_demo_as_a_function() -> None:
    heard: list[DemoProgress] = []
    store = Store()
    result = run_demo(
        ["tom", "priya", "tom"], model=scoring_model(None), store=store, k=3, progress=heard.append
    )
    assert [each.person.id for each in result.people] == ["tom", "priya"]
    for each in result.people:
        assert len(each.ranking) == 3
        assert each.ranking.candidates == 30
        assert each.events == len(each.profile.entries)
        assert each.profile.interests
        assert all(placed.why for placed in each.ranking)
    assert result.usage.calls > 0
    seconds = result.seconds
    parts = seconds.opening_the_model + seconds.reading + seconds.finding_interests
    assert 0 < parts + seconds.ranking + seconds.explanation <= seconds.total
    assert [(report.person.id if report.person else "", report.number) for report in heard][-1] == (
        "priya",
        2,
    )
    assert {"opening the model", "reading the sample data", "finding interests", "ranking items"} <= {
        report.stage for report in heard
    }
    assert [summary.user_id for summary in store.people()] == ["priya", "tom"]


def test_a_model_that_was_given_stays_open_and_the_result_survives_json() -> None:
    model = scoring_model(None)
    result = run_demo(["priya"], model=model, k=1)
    model.score("still", [" open"])
    again = DemoResult.model_validate_json(result.model_dump_json())
    assert again == result


def test_wrong_arguments_of_the_function() -> None:
    with pytest.raises(InputError, match="choose among mara, tom"):
        run_demo(["bob"], model=scoring_model())
    with pytest.raises(InputError, match="k is 0"):
        run_demo(["priya"], model=scoring_model(), k=0)


def test_the_demo_for_a_reader(llmrec_run: Program, scripted: list[ScriptedModel]) -> None:
    outcome = llmrec_run("demo", "--person", "mara", "--person", "linxiao", "--model", "scripted:", "-k", "4")
    assert outcome.code == 0
    text = outcome.out
    for word in ("Mara (mara)", "林晓 (linxiao)", "thoughtful science fiction", "Interests, from", "events"):
        assert word in text
    assert text.count("The best 4 of 30 candidates") == 2
    for stage in ("opening the model", "reading", "finding interests", "ranking", "explanation", "total"):
        assert re.search(rf"^{stage} +\d+\.\d s$", text, re.MULTILINE)
    assert re.search(r"^peak memory +\d+ MB$", text, re.MULTILINE)
    assert re.search(r"… and \d+ lighter interests", text)
    assert "Mara (1 of 2): finding interests" in outcome.err.splitlines()
    assert "note: mara: the model read the 24 items" in outcome.err


def test_the_tree_of_the_demo_is_short_and_that_of_the_json_whole(
    llmrec_run: Program, scripted: list[ScriptedModel]
) -> None:
    arguments = ["demo", "--person", "mara", "--model", "scripted:", "-k", "1"]
    lines = llmrec_run(*arguments).out.splitlines()
    begin = next(at for at, line in enumerate(lines) if line.startswith("Interests"))
    end = next(at for at, line in enumerate(lines) if line.startswith("… and"))
    assert end - begin - 2 <= 16
    found = json.loads(llmrec_run(*arguments, "--json").out)
    hidden = int(lines[end].split()[2])
    assert len(found["people"][0]["profile"]["hierarchy"]["interests"]) == end - begin - 2 + hidden


def test_the_next_steps_are_commands_that_exist(llmrec_run: Program) -> None:
    from llmrec.demo import NEXT_STEPS

    for step in NEXT_STEPS:
        program, *words = step.command.split()
        assert program == "llmrec"
        group = [word for word in words if not word.startswith("-") and "." not in word and word != "mara"]
        assert llmrec_run(*group, "--help").code == 0
    assert app.registered_commands


@pytest.mark.embedded
def test_the_demo_with_the_embedded_model(llmrec_process: Program) -> None:
    outcome = llmrec_process("demo", "--person", "priya", "--json")
    assert outcome.code == 0, outcome.err
    result = DemoResult.model_validate_json(outcome.out)
    assert [each.person.name for each in result.people] == ["Priya"]
    assert (result.model, result.strategy) == ("embedded", "anchored")
    assert len(result.people[0].ranking) == 10
    assert {each.label for each in result.people[0].profile.interests} & {
        "Cooking & food",
        "Crime & detective",
    }
    assert result.peak_memory_bytes is None or result.peak_memory_bytes > 50_000_000
    stages = [line for line in outcome.err.splitlines() if line.startswith("Priya (1 of 1): ")]
    assert stages == [
        "Priya (1 of 1): reading events",
        "Priya (1 of 1): finding interests",
        "Priya (1 of 1): reading the catalogue",
        "Priya (1 of 1): ranking items",
    ]


@pytest.mark.embedded
@pytest.mark.parametrize("width", ["40", "100"])
def test_the_demo_fits_the_terminal(llmrec_process: Program, width: str) -> None:
    from rich.cells import cell_len

    outcome = llmrec_process("demo", "--person", "priya", "-k", "3", COLUMNS=width, NO_COLOR="1")
    assert outcome.code == 0, outcome.err
    assert max(cell_len(line) for line in outcome.out.splitlines()) <= int(width)
    assert "\x1b" not in outcome.out + outcome.err


@pytest.mark.embedded
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
def test_ctrl_c_while_the_model_works(prepared_gguf: Path, home: Path) -> None:
    import os

    root = Path(__file__).parents[2]
    environment = {
        **os.environ,
        "LLMREC_CACHE_DIR": str(prepared_gguf.parent),
        "LLMREC_THREADS": "1",
        "PYTHONPATH": str(root),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "llmrec.cli.main", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        # A shell that runs tests in the background has its children ignore the interruption.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if "finding interests" in line:
            break
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, "".join(seen) + err
    assert out == ""
    assert err.splitlines()[-1] == "llmrec: stopped"
    assert "Traceback" not in err
