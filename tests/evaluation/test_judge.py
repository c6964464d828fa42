"""The judge: what its processes leave behind, what they find, and what they say when they cannot."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import pytest

from llmrec.errors import InputError
from llmrec.evaluation import judge
from llmrec.evaluation.datasets import DataSource
from llmrec.evaluation.prepared import read_figures, read_material, read_prepared, read_queries
from llmrec.evaluation.types import ProtocolOptions
from tests.evaluation.made_datasets import shop, targets_of

GIVEN = ProtocolOptions(split="given", negatives="given", negatives_name="random_negatives")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return shop(tmp_path_factory.mktemp("shop"))


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def write_scores(folder, name, scores):
    (folder / "scores").mkdir(exist_ok=True)
    rows = [{"query": query, "scores": list(values)} for query, values in scores.items()]
    (folder / "scores" / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_the_whole_way(data, tmp_path):
    prepared = judge.prepare(data, GIVEN, tmp_path)
    assert prepared == read_prepared(tmp_path)
    assert (prepared.people, prepared.items, prepared.log_people) == (30, 60, 40)
    assert prepared.candidates_per_query == 6
    assert prepared.chance["hit@1"] == pytest.approx(1 / 6)
    queries = read_queries(tmp_path)
    material = read_material(tmp_path)
    assert len(material.catalog) == 60
    assert material.log.sequences["u0"] == tuple(event.item_id for event in queries[0].events)

    known = targets_of(data)
    answered = queries[:20]
    write_scores(
        tmp_path,
        "cheat",
        {q.id: [float(candidate == known[q.user_id]) for candidate in q.candidates] for q in queries},
    )
    write_scores(tmp_path, "listed", {q.id: range(len(q.candidates), 0, -1) for q in answered})
    measured = judge.measure(tmp_path, data, GIVEN, at=(1, 3))
    assert measured.queries == 30
    assert measured.systems == {"cheat": 30, "listed": 20}
    assert measured.failed == {}
    rows = read_figures(tmp_path)
    assert {row.figures["ndcg@1"] for row in rows if row.system == "cheat"} == {1.0}
    for row, query in zip((row for row in rows if row.system == "listed"), answered, strict=True):
        rank = query.candidates.index(known[query.user_id]) + 1
        assert row.query == query.id
        assert row.top == query.candidates[:3]
        assert row.figures["mrr"] == pytest.approx(1 / rank)
        assert row.figures["ndcg@3"] == pytest.approx(1 / math.log2(rank + 1) if rank <= 3 else 0)
        assert row.figures["hit@1"] == float(rank == 1)

    # To rank again, nothing that tells a target may lie there.
    assert judge.prepare(data, GIVEN, tmp_path) == prepared
    assert "figures.jsonl" not in contents(tmp_path)
    assert (tmp_path / "scores" / "cheat.jsonl").exists()


def test_answers_that_are_no_ranking_are_counted(data, tmp_path):
    judge.prepare(data, GIVEN, tmp_path)
    write_scores(tmp_path, "broken", {query.id: [1.0] for query in read_queries(tmp_path)[:2]})
    measured = judge.measure(tmp_path, data, GIVEN)
    assert measured.failed == {"broken": 2}
    assert measured.notes == ("broken: 2 answers are no ranking and count 0",)


def test_nothing_in_the_folder_tells_the_target_from_the_negatives(data, tmp_path):
    """Whichever candidate is the target, everything that is not a hash of the data is the same."""
    swapped = tmp_path / "shop"
    swapped.mkdir()
    for path in data.iterdir():
        (swapped / path.name).write_bytes(path.read_bytes())
    rows = [json.loads(line) for line in (data / "dev.jsonl").read_text().splitlines()]
    for row in rows:
        row["target"], row["random_negatives"][2] = row["random_negatives"][2], row["target"]
    (swapped / "dev.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    one, other = tmp_path / "one", tmp_path / "other"
    judge.prepare(DataSource(path=data), GIVEN, one)
    judge.prepare(DataSource(path=swapped), GIVEN, other)
    before, after = contents(one), contents(other)
    assert set(before) == {"queries.jsonl", "items.jsonl", "log.jsonl", "prepared.json"}
    first, second = (json.loads(found.pop("prepared.json")) for found in (before, after))
    assert first.pop("fingerprint") != second.pop("fingerprint")
    assert first.pop("dataset"), second.pop("dataset")
    assert {**first, "dataset": ""} == {**second, "dataset": ""}
    assert before == after


def test_a_history_cut_short_is_not_told_by_the_log(data, tmp_path):
    judge.prepare(data, GIVEN.model_copy(update={"history_length": 1}), tmp_path)
    queries, log = read_queries(tmp_path), read_material(tmp_path).log
    assert {len(query.events) for query in queries} == {1}
    assert not {query.user_id for query in queries} & set(log.sequences)
    assert len(log) == 40


def test_a_folder_is_used_again_or_refused(data, tmp_path):
    folder = tmp_path / "run"
    first = judge.prepare(data, GIVEN, folder)
    stamps = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert judge.prepare(data, GIVEN, folder) == first
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == stamps
    for changed in (
        {"options": GIVEN.model_copy(update={"seed": 1})},
        {"variant": "target-last"},
        {"data": shop(tmp_path / "other", seed=5)},
    ):
        arguments = {"data": data, "options": GIVEN, "folder": folder, **changed}
        with pytest.raises(InputError, match=r"holds another evaluation \(of shop\d*, 30 people\)"):
            judge.prepare(**arguments)
    with pytest.raises(InputError, match="holds another evaluation"):
        judge.measure(folder, data, ProtocolOptions())
    (folder / "log.jsonl").unlink()
    assert judge.prepare(data, GIVEN, folder) == first
    assert (folder / "log.jsonl").exists()


def test_a_probes_folder_is_measured_by_its_own_order(data, tmp_path):
    judge.prepare(data, GIVEN, tmp_path, variant="target-first")
    queries = read_queries(tmp_path)
    assert {q.user_id: q.candidates[0] for q in queries} == targets_of(data)
    write_scores(tmp_path, "listed", {q.id: range(len(q.candidates), 0, -1) for q in queries})
    judge.measure(tmp_path, data, GIVEN)
    assert {row.figures["mrr"] for row in read_figures(tmp_path)} == {1.0}


def test_targets_are_for_learning(data):
    found = judge.targets(data, GIVEN.model_copy(update={"part": "learning"}))
    known = targets_of(data)
    assert found
    assert all(found[query] == [known[query]] for query in found)
    with pytest.raises(InputError, match="not learned from the people that figures are reported on"):
        judge.targets(data, GIVEN.model_copy(update={"part": "reporting"}))


class TestWhatCannotBeDone:
    def test_the_childs_own_sentence_comes_back(self, tmp_path):
        with pytest.raises(InputError, match=r"^there is no folder or file .*nowhere: check the path"):
            judge.prepare(tmp_path / "nowhere", GIVEN, tmp_path)

    def test_a_measure_before_anything(self, data, tmp_path):
        with pytest.raises(InputError, match="nothing was prepared in"):
            judge.measure(tmp_path, data, GIVEN)
        judge.prepare(data, GIVEN, tmp_path)
        with pytest.raises(InputError, match="holds no scores yet"):
            judge.measure(tmp_path, data, GIVEN)

    def test_a_folder_that_cannot_be_written(self, data, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(InputError, match=r"cannot be (written|read)"):
            judge.prepare(data, GIVEN, tmp_path / "file" / "run")

    def test_a_process_that_dies_shows_nothing_of_what_it_wrote(self, data, tmp_path, monkeypatch):
        def died(*arguments, **options):
            return subprocess.CompletedProcess(arguments, -9, b"half an ans", b"KeyError: 'secret'")

        monkeypatch.setattr(judge.subprocess, "run", died)
        with pytest.raises(judge.LlmrecError, match=r"without an answer \(signal 9\)") as raised:
            judge.prepare(data, GIVEN, tmp_path)
        assert "secret" not in str(raised.value)

    def test_a_fault_of_its_own_is_told_without_its_values(self, monkeypatch, capsys):
        def faulty(task):
            raise KeyError("secret")

        monkeypatch.setitem(judge._DO, "targets", faulty)
        assert run_here(monkeypatch, {"task": "targets", "data": {"path": "x"}}) == 2
        answer = json.loads(capsys.readouterr().out)
        assert "KeyError in test_judge.py, line" in answer["error"]
        assert "secret" not in answer["error"]

    def test_a_task_that_is_none(self, monkeypatch, capsys):
        assert run_here(monkeypatch, {"task": "tell", "data": {"path": "x"}}) == 2
        assert "the task: task: " in json.loads(capsys.readouterr().out)["error"]


def run_here(monkeypatch, task):
    import io

    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(task).encode())))
    return judge.main()


def test_by_hand(data, tmp_path):
    task = {"task": "prepare", "data": {"path": str(data)}, "folder": str(tmp_path / "茶")}
    done = subprocess.run(
        [sys.executable, "-m", "llmrec.evaluation.judge"],
        input=json.dumps(task).encode(),
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert json.loads(done.stdout)["answer"]["people"] == 30
    assert (tmp_path / "茶" / "queries.jsonl").exists()
