"""The probes of a whole run, with systems whose faults are known."""

from __future__ import annotations

import json
import shutil

import pytest

from llmrec.errors import InputError
from llmrec.evaluation.probing import ProbeOptions
from llmrec.evaluation.run import evaluate
from llmrec.evaluation.systems import FunctionSystem
from llmrec.evaluation.types import ProtocolOptions
from llmrec.llm.scripted import ScriptedModel
from tests.builders import SCORES_ONLY, indifferent
from tests.evaluation.made_datasets import shop, targets_of, write_lines

GIVEN = ProtocolOptions(split="given", negatives="given", negatives_name="random_negatives")
PEOPLE = 20


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return shop(tmp_path_factory.mktemp("shop"), people=40)


def probed(data, score, *names, folder=None, **options):
    systems = [FunctionSystem("mine", score, fingerprint="1")]
    probes = ProbeOptions(names=names, people=PEOPLE, **options)
    result = evaluate(data, systems=systems, options=GIVEN, probes=probes, folder=folder)
    assert {probe.system for probe in result.probes} <= {"mine", "embedded"}
    return {probe.name: probe for probe in result.probes}


def as_listed(query):
    return [-place for place in range(len(query.candidates))]


def by_id(query):
    return [int(item[1:]) for item in query.candidates]


def test_who_ranks_as_listed_is_found_out(data):
    found = probed(data, as_listed, "candidate-order", "target-position")
    assert list(found) == ["candidate-order", "target-first", "target-last"]
    assert "20 of 20 rankings change" in found["candidate-order"].verdict
    assert found["target-first"].after.mean == 1.0
    assert found["target-first"].difference.low > 0
    # The last of six: 1 / log2(7).
    assert found["target-last"].after.mean == pytest.approx(0.3562, abs=1e-4)
    assert found["target-first"].before.people == PEOPLE


def test_who_ranks_by_the_item_alone_is_not_moved(data):
    found = probed(data, by_id, "candidate-order", "history-shuffled", "other-history", "target-position")
    for probe in found.values():
        assert probe.difference.mean == 0
    assert found["candidate-order"].verdict.startswith("No ranking of 20 changes")
    assert found["other-history"].verdict.startswith("Another person's history does the ranking as well")


def test_who_needs_the_history_is_lost_without_it(data):
    known = targets_of(data)
    last = {}

    def by_history(query):
        """Knows the person by the last thing they did."""
        own = {item: user for user, item in last.items()}
        user = own.get(query.events[-1].item_id if query.events else None)
        return [item == known.get(user) for item in query.candidates]

    from llmrec.evaluation import run

    original = run.read_queries

    def remembered(folder):
        queries = original(folder)
        last.update({query.user_id: query.events[-1].item_id for query in queries if query.events})
        return queries

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "read_queries", remembered)
        found = probed(data, by_history, "history-shuffled", "other-history")
    for name in ("history-shuffled", "other-history"):
        assert found[name].before.mean > 0.9
        assert found[name].difference.high < 0


def test_other_prompts_are_other_systems_of_the_same_names(data, tmp_path):
    def paraphrased(material):
        return [FunctionSystem("mine", lambda asked: as_listed(asked)[::-1]), FunctionSystem("more", by_id)]

    found = probed(data, as_listed, "paraphrase", paraphrased=paraphrased, folder=tmp_path)
    assert "20 of 20 rankings change with the wording of the prompts" in found["paraphrase"].verdict
    assert (tmp_path / "scores" / "mine@paraphrase.jsonl").exists()
    with pytest.raises(InputError, match="must have the names"):
        probed(data, as_listed, "paraphrase", paraphrased=lambda material: [])


def test_a_model_is_asked_what_it_remembers(data, tmp_path):
    model = ScriptedModel(scores=indifferent, capabilities=SCORES_ONLY, name="embedded")
    found = probed(data, by_id, "title-contamination", model=model)
    assert "cannot be told" in found["title-contamination"].verdict, "the titles say the ids"
    assert model.history == []

    told_apart = tmp_path / "shop"
    shutil.copytree(data, told_apart)
    items = [json.loads(line) for line in (told_apart / "items.jsonl").read_text("utf-8").splitlines()]
    letters = "abcdefghij"
    for at, item in enumerate(items):
        item["title"] = f"kettle {letters[at // 10]}{letters[at % 10]}q 茶壶"
    write_lines(told_apart / "items.jsonl", items)
    found = probed(told_apart, by_id, "title-contamination", model=model)
    assert found["title-contamination"].system == "embedded"
    assert len(model.history) == PEOPLE * 4


def test_baselines_are_probed_where_they_are_alone(data):
    probes = ProbeOptions(names=("candidate-order",), people=5)
    result = evaluate(data, options=GIVEN, probes=probes)
    assert {probe.system for probe in result.probes} == {
        "popularity",
        "bm25",
        "co-occurrence",
        "bm25+popularity+co-occurrence",
    }
    assert all(probe.verdict.startswith("No ranking of 5 changes") for probe in result.probes)


def test_a_second_run_ranks_nothing_again(data, tmp_path):
    asked = []

    def counting(query):
        asked.append(query.id)
        return by_id(query)

    names = ("candidate-order", "other-history", "target-position")
    first = probed(data, counting, *names, folder=tmp_path)
    assert len(asked) == 40 + 4 * PEOPLE
    assert probed(data, counting, *names, folder=tmp_path) == first
    # What tells the target's place is removed before any system is made, and so ranked anew.
    assert len(asked) == 40 + 4 * PEOPLE + 2 * PEOPLE


def test_what_a_probe_needs_is_said_before_anything_runs(data):
    for names, said in (
        (("paraphrase",), "the same prompts in other words"),
        (("title-contamination",), "needs a model"),
        (("nonsense",), "there is no probe 'nonsense'"),
    ):
        with pytest.raises(InputError, match=said):
            evaluate(data, options=GIVEN, probes=ProbeOptions(names=names))
    with pytest.raises(InputError, match="no target has a place"):
        evaluate(
            data,
            options=ProtocolOptions(split="given", negatives="all"),
            probes=ProbeOptions(names=("target-position",)),
        )
