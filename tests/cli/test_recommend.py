"""`llmrec recommend`: the log, strategies, reordering, budgets and costs from end to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from llmrec.llm.scripted import ScriptedModel
from tests.cli.conftest import EVENTS, ITEMS, Outcome, Program

pytestmark = pytest.mark.usefixtures("scripted")
TOM = [
    "recommend",
    EVENTS,
    "--catalog",
    ITEMS,
    "--user",
    "tom",
    "--model",
    "scripted:",
    "--store",
    ":memory:",
]

FILMS = [
    {"id": "a", "title": "Solaris", "categories": ["Drama"], "attributes": {"year": "1972"}},
    {"id": "b", "title": "Stalker", "categories": ["Drama"], "attributes": {"year": "1979"}},
    {"id": "c", "title": "Alien", "categories": ["Horror"], "attributes": {"year": "1979"}},
    {"id": "d", "title": "Heat", "categories": ["Crime"], "attributes": {"year": "1995"}},
]


def write(path: Path, records: list[Any]) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return str(path)


def document(outcome: Outcome) -> Any:
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


@pytest.fixture
def films(tmp_path: Path) -> list[str]:
    items = write(tmp_path / "films.jsonl", FILMS)
    events = write(tmp_path / "events.jsonl", [{"user_id": "ana", "item_id": "a", "action": "like"}])
    return ["recommend", events, "--catalog", items, "--model", "scripted:", "--store", ":memory:"]


def people_who_chose(counts: dict[str, int]) -> list[dict[str, Any]]:
    people = [item for item, count in counts.items() for _ in range(count)]
    return [{"user_id": f"p{number}", "items": [item]} for number, item in enumerate(people)]


class TestLog:
    def test_what_many_people_chose_becomes_a_signal(
        self, llmrec_run: Program, tmp_path: Path, films: list[str]
    ) -> None:
        pytest.importorskip("scipy")
        log = write(tmp_path / "log.jsonl", [*people_who_chose({"d": 5, "b": 2, "c": 1}), {"user_id": "x"}])
        found = document(llmrec_run(*films, "--log", log, "--rank-by", "none", "--json"))
        ranked = {one["item"]["id"]: one for one in found["rankings"][0]["items"]}
        assert all("popularity" in one["signals"] for one in ranked.values())
        contributions = [ranked[item]["signals"]["popularity"]["contribution"] for item in "dbc"]
        assert contributions == sorted(contributions, reverse=True)
        assert contributions[0] > 0 > contributions[2]
        assert found["log_report"]["read"] == 9
        outcome = llmrec_run(*films, "--log", log, "--rank-by", "none")
        assert f"{log}: 9 read, 8 kept: 1 set aside (row 9: it has no list of items)" in outcome.err
        without = document(llmrec_run(*films, "--rank-by", "none", "--json"))
        assert without["log_report"] is None
        assert "popularity" not in without["rankings"][0]["items"][0]["signals"]

    def test_events_in_columns_are_a_log_too(
        self, llmrec_run: Program, tmp_path: Path, films: list[str]
    ) -> None:
        pytest.importorskip("scipy")
        log = tmp_path / "log.txt"
        log.write_text("who\tsku\np1\td\np2\td\np3\tb\n", encoding="utf-8")
        columns = ["user_id=who", "item_id=sku", "action==purchase"]
        named = [word for column in columns for word in ("--log-column", column)]
        found = document(
            llmrec_run(
                *films, "--log", str(log), "--log-format", "tsv", *named, "--rank-by", "none", "--json"
            )
        )
        values = {
            one["item"]["id"]: one["signals"]["popularity"]["value"] for one in found["rankings"][0]["items"]
        }
        assert values["d"] > values["b"] > values["c"]

    def test_a_log_of_other_items_is_told(
        self, llmrec_run: Program, tmp_path: Path, films: list[str]
    ) -> None:
        pytest.importorskip("scipy")
        log = write(tmp_path / "log.jsonl", people_who_chose({"x": 1, "y": 2}))
        outcome = llmrec_run(*films, "--log", log, "--rank-by", "none")
        assert outcome.code == 0
        assert "warning: none of the 2 items of the log" in outcome.err

    def test_a_log_that_cannot_be(self, llmrec_run: Program, tmp_path: Path, films: list[str]) -> None:
        nobody = llmrec_run(*films, "--log", write(tmp_path / "empty.jsonl", []))
        assert nobody.code == 1
        assert "nobody chose anything in the log" in nobody.error
        lists = write(tmp_path / "lists.jsonl", people_who_chose({"a": 1}))
        wrong = llmrec_run(*films, "--log", lists, "--log-column", "item_id=sku")
        assert wrong.code == 1
        assert wrong.error.startswith("--log-column is for events")


class TestStrategy:
    def test_none_asks_the_model_nothing_for_the_ranking(
        self, llmrec_run: Program, scripted: list[ScriptedModel]
    ) -> None:
        found = document(llmrec_run(*TOM, "--rank-by", "none", "--json"))
        assert found["rankings"][0]["usage"]["calls"] == 0
        signals = found["rankings"][0]["items"][0]["signals"]
        assert "bm25" in signals
        assert "likelihood_ratio" not in signals

    @pytest.mark.parametrize("name", ["likelihood_ratio", "query_likelihood"])
    def test_a_strategy_gives_the_signal_of_its_name(self, llmrec_run: Program, name: str) -> None:
        found = document(llmrec_run(*TOM, "--rank-by", name, "--json"))
        assert name in found["rankings"][0]["items"][0]["signals"]

    def test_options_of_the_strategy_are_handed_on(self, llmrec_run: Program) -> None:
        given = [*TOM, "--rank-by", "likelihood_ratio", "--cost", "--json"]
        one, two = (
            document(llmrec_run(*given, *options))["costs"][0]["cost"]["calls"]
            for options in ((), ("--rank-option", "prompts=history,basket"))
        )
        assert two == 2 * one > 0
        wrong = llmrec_run(*TOM, "--rank-by", "likelihood_ratio", "--rank-option", "window=3")
        assert wrong.code != 0
        assert "likelihood_ratio has no option 'window': its options are answers, prompts" in wrong.error

    def test_a_strategy_that_is_named_is_asked_without_a_weight_too(
        self, llmrec_run: Program, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LLMREC_FUSION", '{"model": 0, "capable_model": 0}')
        assert "likelihood_ratio" not in str(document(llmrec_run(*TOM, "--json"))["rankings"])
        named = document(llmrec_run(*TOM, "--rank-by", "likelihood_ratio", "--json"))
        assert "likelihood_ratio" in named["rankings"][0]["items"][0]["signals"]

    def test_the_variable_names_it_too(self, llmrec_run: Program, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LLMREC_RANKING_STRATEGY", "none")
        found = document(llmrec_run(*TOM, "--json"))
        assert found["rankings"][0]["usage"]["calls"] == 0
        monkeypatch.setenv("LLMREC_RANKING_STRATEGY", "guess")
        wrong = llmrec_run(*TOM)
        assert wrong.code == 2
        assert "LLMREC_RANKING_STRATEGY" in wrong.error

    def test_the_basis_decides_what_speaks(self, llmrec_run: Program) -> None:
        found = document(llmrec_run(*TOM, "--rank-by", "none", "--basis", "profile", "--json"))
        assert set(found["rankings"][0]["items"][0]["signals"]) == {"interest_words", "hints", "interests"}

    def test_weights_that_are_none_are_a_failure(self, llmrec_run: Program) -> None:
        outcome = llmrec_run(*TOM, "--weights", ITEMS)
        assert outcome.code == 1
        assert "is no file of llmrec tune" in outcome.error


class TestReordering:
    def test_filters_and_caps_hold(self, llmrec_run: Program, films: list[str]) -> None:
        given = ["--where", "year>=1979", "--cap", "year=1", "--rank-by", "none", "--repeats"]
        outcome = llmrec_run(*films, *given, "--json")
        items = document(outcome)["rankings"][0]["items"]
        assert sorted(one["item"]["attributes"]["year"] for one in items) == ["1979", "1995"]
        told = llmrec_run(*films, *given).err
        assert "note: ana: the filter year>=1979 left out 1 of 4 items" in told

    def test_what_moved_is_marked(self, llmrec_run: Program) -> None:
        plain = document(llmrec_run(*TOM, "--rank-by", "none", "--json", "-k", "30"))
        order = [one["item"]["id"] for one in plain["rankings"][0]["items"]]
        given = [*TOM, "--rank-by", "none", "--diversity", "0.7", "-k", "5"]
        ranking = document(llmrec_run(*given, "--json"))["rankings"][0]
        assert ranking["reordering"]["diversity"] == 0.7
        moved = [one for one in ranking["items"] if one["placement"]["from_rank"] != one["rank"]]
        assert moved
        text = llmrec_run(*given).out
        for one in moved:
            assert order.index(one["item"]["id"]) + 1 == one["placement"]["from_rank"]
            assert f"from {one['placement']['from_rank']}" in text

    def test_an_interest_there_is_not_is_one_sentence(self, llmrec_run: Program) -> None:
        outcome = llmrec_run(*TOM, "--where", "interest=Curling", "--rank-by", "none")
        assert outcome.code == 1
        assert "Curling" in outcome.error


class TestBudget:
    def test_a_budget_of_nothing_asks_nothing_and_says_so(self, llmrec_run: Program) -> None:
        outcome = llmrec_run(*TOM, "--max-calls", "0", "--json")
        ranking = document(outcome)["rankings"][0]
        assert ranking["usage"]["calls"] == 0
        assert any("budget" in note for note in ranking["notes"])
        shown = llmrec_run(*TOM, "--max-calls", "0")
        assert any(line.startswith("note: tom: ") and "budget" in line for line in shown.err.splitlines())

    def test_the_cost_is_told_and_nothing_is_ranked(
        self, llmrec_run: Program, scripted: list[ScriptedModel]
    ) -> None:
        given = [*TOM, "--cost", "--rank-by", "likelihood_ratio"]
        found = document(llmrec_run(*given, "--max-calls", "9", "--json"))
        assert (found["strategy"], found["budget"]["calls"]) == ("likelihood_ratio", 9)
        (one,) = found["costs"]
        assert one["user_id"] == "tom"
        assert one["cost"]["calls"] > 0
        assert one["cost"]["prompt_tokens"] > 0
        outcome = llmrec_run(*given)
        assert f"{one['cost']['calls']} calls, {one['cost']['prompt_tokens']:,} tokens" in outcome.out
        assert "tom: ranking items" not in outcome.err
        none = document(llmrec_run(*TOM, "--cost", "--rank-by", "none", "--json"))
        assert none["costs"][0]["cost"]["calls"] == 0

    def test_somebody_of_whom_nothing_is_known_costs_nothing(
        self, llmrec_run: Program, tmp_path: Path, films: list[str]
    ) -> None:
        events = write(tmp_path / "gone.jsonl", [{"user_id": "bo", "item_id": "gone", "action": "like"}])
        found = document(llmrec_run(films[0], events, *films[2:], "--cost", "--json"))
        assert found["costs"][0]["cost"]["calls"] == 0


def test_failures_are_warnings_after_the_table(llmrec_run: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    from llmrec.errors import ModelError
    from llmrec.ranking.likelihood import LikelihoodRatio

    def broken(*_: object, **__: object) -> None:
        raise ModelError("the graphics card\x1b[2J fell out")

    monkeypatch.setattr(LikelihoodRatio, "score", broken)
    outcome = llmrec_run(*TOM, "--rank-by", "likelihood_ratio")
    assert outcome.code == 0
    told = [line for line in outcome.err.splitlines() if "fell out" in line]
    assert told == [
        "warning: tom: likelihood_ratio failed (the graphics card[2J fell out): the other signals stood in "
        "for it"
    ]
    assert "\x1b" not in outcome.err + outcome.out
    found = document(llmrec_run(*TOM, "--rank-by", "likelihood_ratio", "--json"))
    assert found["rankings"][0]["failures"][0]["what"] == "likelihood_ratio"
