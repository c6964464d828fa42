"""Whole evaluations of small data: what comes out, what is kept, how a stopped one goes on."""

from __future__ import annotations

import json
import shutil

import pytest

from llmrec.errors import InputError
from llmrec.evaluation.datasets import DataSource
from llmrec.evaluation.probing import ProbeOptions
from llmrec.evaluation.run import evaluate, write_report
from llmrec.evaluation.systems import FunctionSystem
from llmrec.evaluation.types import EvaluationResult, ProtocolOptions
from tests.evaluation.made_datasets import shop, targets_of
from tests.evaluation.made_systems import Failing

GIVEN = ProtocolOptions(split="given", negatives="given", negatives_name="random_negatives")
BASELINES = {"random", "popularity", "bm25", "co-occurrence", "bm25+popularity+co-occurrence"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return shop(tmp_path_factory.mktemp("shop"), people=24)


def by_name(result):
    return {system.name: system for system in result.systems}


def knowing(data, name="knowing"):
    known = targets_of(data)
    return FunctionSystem(
        name, lambda asked: [item == known[asked.user_id] for item in asked.candidates], fingerprint="1"
    )


def test_from_data_to_report(data, tmp_path):
    result = evaluate(
        DataSource(path=data),
        systems=[knowing(data)],
        options=GIVEN,
        folder=tmp_path,
        settings={"model": "none"},
        command="llmrec evaluate shop",
    )
    assert set(by_name(result)) == BASELINES | {"knowing"}
    assert by_name(result)["knowing"].metrics["ndcg@10"].mean == 1.0
    assert by_name(result)["random"].metrics["ndcg@1"].mean < 0.6
    assert {system.name for system in result.systems if system.is_baseline} == BASELINES
    assert (result.people, result.items, result.candidates_per_query) == (24, 60, 6)
    assert result.chance["hit@1"] == pytest.approx(1 / 6)
    assert [(band.label, band.people) for band in result.bands] == [("3-5", 24)]
    pairs = {(one.system, one.baseline) for one in result.comparisons if one.metric == "ndcg@10"}
    assert len(pairs) == 6 * 5 - 5
    better = next(one for one in result.comparisons if (one.system, one.baseline) == ("knowing", "random"))
    assert better.difference.low > 0
    assert result.settings["model"] == "none"
    assert result.settings["llmrec"]
    assert EvaluationResult.model_validate_json((tmp_path / "result.json").read_text("utf-8")) == result
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "knowing" in page
    assert "llmrec evaluate shop" in page


def test_without_a_folder_nothing_is_kept(data, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    result = evaluate(data, options=GIVEN)
    assert set(by_name(result)) == BASELINES
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_stopped_goes_on_where_it_was(data, tmp_path):
    whole = evaluate(data, systems=[knowing(data)], options=GIVEN, folder=tmp_path / "whole")
    asked = []

    def stopping(query):
        asked.append(query.id)
        if len(asked) == 10:
            raise KeyboardInterrupt
        return known(query)

    known = knowing(data)._score
    folder = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        evaluate(
            data,
            systems=[FunctionSystem("knowing", stopping, fingerprint="1")],
            options=GIVEN,
            folder=folder,
        )
    assert not (folder / "result.json").exists()
    scores = folder / "scores" / "knowing.jsonl"
    scores.write_bytes(scores.read_bytes()[:-20])
    again = []

    def going_on(query):
        again.append(query.id)
        return known(query)

    result = evaluate(
        data,
        systems=[FunctionSystem("knowing", going_on, fingerprint="1")],
        options=GIVEN,
        folder=folder,
    )
    # Nine were scored and the last of them was torn.
    assert again[0] == asked[8]
    assert len(again) == 24 - 8
    figures = {name: system.metrics for name, system in by_name(result).items()}
    assert figures == {name: system.metrics for name, system in by_name(whole).items()}
    again.clear()
    assert evaluate(
        data,
        systems=[FunctionSystem("knowing", going_on, fingerprint="1")],
        options=GIVEN,
        folder=folder,
    ).systems
    assert again == []


def test_nothing_that_tells_targets_lies_there_while_a_system_ranks(data, tmp_path):
    probes = ProbeOptions(names=("target-position",), people=5)
    evaluate(data, options=GIVEN, folder=tmp_path, probes=probes)
    told = {"figures.jsonl", "result.json", "report.html", "target-position"}
    assert told <= {path.name for path in tmp_path.iterdir()}
    seen = set()

    def looking(query):
        seen.update(path.name for path in tmp_path.iterdir())
        return [0.0] * len(query.candidates)

    evaluate(data, systems=[FunctionSystem("looking", looking)], options=GIVEN, folder=tmp_path)
    assert "queries.jsonl" in seen
    assert not seen & told


def test_nothing_that_tells_targets_lies_there_while_a_system_is_made(data, tmp_path):
    probes = ProbeOptions(names=("target-position",), people=5)
    again = {"options": GIVEN, "folder": tmp_path, "history_lengths": (2,)}
    evaluate(data, systems=[knowing(data)], probes=probes, **again)
    assert (tmp_path / "cold-start" / "2" / "figures.jsonl").exists()
    seen = set()

    def systems(material):
        seen.update(path.name for path in tmp_path.rglob("*"))
        return [knowing(data)]

    # Every score is there already, so that nothing at all would be ranked.
    evaluate(data, systems=systems, options=GIVEN, folder=tmp_path)
    assert {"queries.jsonl", "knowing.jsonl"} <= seen
    assert not seen & {"figures.jsonl", "target-position"}


def test_a_function_that_does_not_say_what_it_is_is_asked_anew(data, tmp_path):
    def ndcg(score):
        systems = [FunctionSystem("mine", score)]
        found = by_name(evaluate(data, systems=systems, options=GIVEN, folder=tmp_path))
        return found["mine"].metrics["ndcg@10"].mean

    assert ndcg(knowing(data)._score) == 1.0
    assert ndcg(lambda asked: [0.0] * len(asked.candidates)) < 0.9


def test_notes_of_scores_are_told_once(data):
    class Noting(Failing):
        def scores(self, query):
            return super().scores(query).model_copy(update={"notes": ("the learned weights are old",)})

    result = evaluate(data, systems=[Noting(set())], options=GIVEN)
    assert result.notes.count("failing: the learned weights are old") == 1


def test_another_system_of_the_same_name_is_refused(data, tmp_path):
    evaluate(data, systems=[knowing(data)], options=GIVEN, folder=tmp_path)
    other = FunctionSystem("knowing", lambda asked: [0.0] * 6, fingerprint="2")
    with pytest.raises(InputError, match="holds scores of another knowing"):
        evaluate(data, systems=[other], options=GIVEN, folder=tmp_path)
    with pytest.raises(InputError, match="holds another evaluation"):
        evaluate(data, options=GIVEN.model_copy(update={"seed": 3}), folder=tmp_path)
    with pytest.raises(InputError, match="two systems are called"):
        evaluate(data, systems=[knowing(data, "bm25")], options=GIVEN)


def test_failures_count_0_and_are_told(data):
    result = evaluate(data, systems=[Failing({"u1", "u5"})], options=GIVEN)
    failing = by_name(result)["failing"]
    assert failing.failures == 2
    assert failing.tokens_per_query == 7
    assert (
        "failing failed at 2 of 24 queries, which count 0: the server did not answer: try again"
        in result.notes
    )


def test_systems_can_be_made_from_the_material(data):
    seen = []

    def systems(material):
        seen.append(material)
        return [FunctionSystem("first", lambda asked: [0.0] * len(asked.candidates))]

    result = evaluate(data, systems=systems, options=GIVEN)
    assert "first" in by_name(result)
    assert len(seen[0].catalog) == 60
    assert len(seen[0].log) == 34


def test_a_cold_start_shows_so_many_events(data, tmp_path):
    lengths = {}

    def counting(query):
        lengths.setdefault(query.user_id, []).append(len(query.events))
        return [0.0] * len(query.candidates)

    result = evaluate(
        data,
        systems=[FunctionSystem("counting", counting)],
        options=GIVEN,
        folder=tmp_path,
        history_lengths=(0, 2, 2),
    )
    assert all(found == [5, 0, 2] for found in lengths.values())
    assert [(band.label, band.people) for band in result.cold_start] == [("0", 24), ("2", 24)]
    assert result.cold_start[0].metrics["bm25"]["ndcg@10"].mean == pytest.approx(result.chance["ndcg@10"])
    with pytest.raises(InputError, match="a history of -1 events cannot be"):
        evaluate(data, options=GIVEN, history_lengths=(3, -1))


def test_the_whole_catalogue(data):
    result = evaluate(data, options=ProtocolOptions(split="given", negatives="all"))
    assert result.candidates_per_query == 55
    assert by_name(result)["bm25"].metrics["ndcg@10"].people == 24


def test_without_a_log_there_is_a_note(data, tmp_path):
    for path in ("items.jsonl", "dev.jsonl"):
        shutil.copy(data / path, tmp_path / path)
    rows = [json.loads(line) for line in (tmp_path / "dev.jsonl").read_text("utf-8").splitlines()]
    for row in rows:
        row["history"] = []
    (tmp_path / "dev.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    result = evaluate(tmp_path, options=GIVEN)
    assert set(by_name(result)) == {"random", "bm25"}
    assert any("no interaction log" in note for note in result.notes)


def test_a_folder_that_cannot_be_written(data, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be (written|read|used)"):
        evaluate(data, options=GIVEN, folder=tmp_path / "file" / "run")


def test_progress_tells_stages_speed_and_time_left(data):
    told = []
    evaluate(data, options=GIVEN, progress=told.append)
    stages = list(dict.fromkeys(one.stage for one in told))
    assert stages[0] == "reading the data"
    assert stages[1] == "ranking by random"
    assert stages[-1] == "measuring"
    assert any(one.queries_per_second and one.seconds_left is not None for one in told)


def test_a_report_is_written_anywhere(data, tmp_path):
    write_report(evaluate(data, options=GIVEN), tmp_path / "deep" / "page.html")
    assert "<html" in (tmp_path / "deep" / "page.html").read_text("utf-8")
