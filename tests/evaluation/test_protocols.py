"""From a data set to queries: whom, what and among which items."""

from __future__ import annotations

import hashlib
import json
import math
import subprocess
import sys

import numpy as np
import pytest

from llmrec.errors import InputError
from llmrec.evaluation.datasets import read_dataset
from llmrec.evaluation.protocols import expected_by_chance, make_cases, part_of
from llmrec.evaluation.types import ProtocolOptions
from llmrec.settings import Settings
from tests.evaluation.made_datasets import rated, shop, targets_of

GIVEN = {"split": "given", "negatives": "given", "negatives_name": "random_negatives"}


@pytest.fixture(scope="module")
def big_shop(tmp_path_factory):
    return shop(tmp_path_factory.mktemp("shop"), people=400, items=300)


def cases_of(folder, variant=None, **options):
    return make_cases(read_dataset(folder), ProtocolOptions(**options), variant=variant, settings=Settings())


class TestCandidates:
    def test_given_ones(self, tmp_path):
        folder = shop(tmp_path)
        rows = {r["user"]: r for r in map(json.loads, (folder / "dev.jsonl").read_text().splitlines())}
        made = cases_of(folder, **GIVEN)
        assert [case.query.user_id for case in made.cases] == list(rows)
        for case in made.cases:
            row = rows[case.query.user_id]
            assert set(case.query.candidates) == {row["target"], *row["random_negatives"]}
            assert [event.item_id for event in case.query.events] == row["history"]
            assert case.targets == (row["target"],)

    @pytest.mark.parametrize("negatives", ["random", "popularity", "retriever"])
    def test_drawn_ones(self, tmp_path, negatives):
        for case in cases_of(shop(tmp_path), split="given", negatives=negatives, count=7).cases:
            assert len(case.query.candidates) == len(set(case.query.candidates)) == 8
            assert set(case.targets) <= set(case.query.candidates)
            assert not case.consumed & set(case.query.candidates)

    def test_the_whole_catalogue(self, tmp_path):
        for case in cases_of(shop(tmp_path), split="given", negatives="all").cases:
            assert case.query.candidates == ()
            assert case.candidates == 60 - 5

    def test_negatives_for_each_of_several_targets(self, tmp_path):
        events = [("u", str(at), 5, at) for at in range(20)]
        folder = rated(tmp_path / "ml", events, [str(at) for at in range(60)])
        (case,) = cases_of(folder, split="temporal", temporal_share=0.2, count=3).cases
        assert len(case.targets) == 4
        assert len(case.query.candidates) == 16

    def test_too_small_a_catalogue_is_noted(self, tmp_path):
        made = cases_of(shop(tmp_path, items=20), split="given", count=19)
        assert "people with fewer than 19 negatives a target, for want of items: 30" in made.notes

    def test_given_negatives_of_the_history_are_left_out_with_a_note(self, tmp_path):
        folder = shop(tmp_path, people=1)
        row = json.loads((folder / "dev.jsonl").read_text())
        row["random_negatives"] += [row["history"][0], row["target"]]
        (folder / "dev.jsonl").write_text(json.dumps(row))
        made = cases_of(folder, **GIVEN)
        assert len(made.cases[0].query.candidates) == 6
        assert made.notes == ("given negatives that stand in the person's own history were left out: 1",)

    @pytest.mark.parametrize(
        ("options", "sentence"),
        [
            ({"split": "given", "negatives": "given"}, "several lists of negatives: name one of random_neg"),
            ({**GIVEN, "negatives_name": "mine"}, "gives no negatives 'mine'"),
            ({"negatives": "given"}, "gives no negatives for this split: choose random"),
        ],
    )
    def test_lists_that_are_not_there(self, tmp_path, options, sentence):
        with pytest.raises(InputError, match=sentence):
            cases_of(shop(tmp_path), **options)


class TestOrder:
    def test_the_targets_place_is_uniform(self, big_shop):
        for options in (GIVEN, {"split": "given", "negatives": "random", "count": 9}):
            made = cases_of(big_shop, **options)
            size = len(made.cases[0].query.candidates)
            places = [case.query.candidates.index(case.targets[0]) for case in made.cases]
            expected = 400 / size
            chi_square = sum((places.count(at) - expected) ** 2 / expected for at in range(size))
            # The 99.9% points with 5 and with 9 degrees of freedom.
            assert chi_square < {6: 20.5, 10: 27.9}[size]

    def test_the_order_is_the_same_whichever_candidate_is_the_target(self, tmp_path):
        folder = shop(tmp_path, people=20)
        before = [case.query.candidates for case in cases_of(folder, **GIVEN).cases]
        rows = [json.loads(line) for line in (folder / "dev.jsonl").read_text().splitlines()]
        for row in rows:
            row["target"], row["random_negatives"][0] = row["random_negatives"][0], row["target"]
        (folder / "dev.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        made = cases_of(folder, **GIVEN)
        assert [case.query.candidates for case in made.cases] == before
        assert [case.targets[0] for case in made.cases] == [row["target"] for row in rows]

    def test_drawn_negatives_do_not_tell_the_target_by_being_drawn_again(self, tmp_path):
        """Who knows the seed, the items and the log, but not the data set, draws others."""
        folder = shop(tmp_path, people=5)
        options = {"split": "given", "negatives": "random", "count": 9}
        before = cases_of(folder, **options).cases[0]
        rows = (folder / "dev.jsonl").read_text().splitlines()
        (folder / "dev.jsonl").write_text("\n".join(rows[:4]))
        after = cases_of(folder, **options).cases[0]
        assert after.targets == before.targets
        assert set(after.query.candidates) != set(before.query.candidates)

    @pytest.mark.parametrize(("variant", "place"), [("target-first", 0), ("target-last", -1)])
    def test_a_probe_may_fix_the_targets_place(self, tmp_path, variant, place):
        plain = cases_of(shop(tmp_path), **GIVEN).cases
        for before, case in zip(plain, cases_of(tmp_path, variant, **GIVEN).cases, strict=True):
            assert case.query.candidates[place] == case.targets[0]
            without = [item for item in before.query.candidates if item != case.targets[0]]
            assert [item for item in case.query.candidates if item != case.targets[0]] == without
        with pytest.raises(InputError, match="in the whole catalogue no target has a place"):
            cases_of(tmp_path, variant, split="given", negatives="all")


class TestPeople:
    def test_the_parts_make_the_whole(self, big_shop):
        parts = {
            part: [case.query.user_id for case in cases_of(big_shop, part=part, **GIVEN).cases]
            for part in ("all", "learning", "reporting")
        }
        assert sorted(parts["learning"] + parts["reporting"]) == sorted(parts["all"])
        for user in parts["all"]:
            second = hashlib.sha256(user.encode()).digest()[0] % 2 == 1
            assert (user in parts["reporting"]) is second
            assert part_of(user) == ("reporting" if second else "learning")
        assert 150 < len(parts["learning"]) < 250

    def test_some_are_drawn_by_the_seed_in_the_order_of_the_data(self, big_shop):
        few, more, other = (
            [case.query.user_id for case in cases_of(big_shop, users=users, seed=seed, **GIVEN).cases]
            for users, seed in ((10, 1), (20, 1), (10, 2))
        )
        assert len(few) == 10
        assert set(few) < set(more)
        assert set(few) != set(other)
        assert few == sorted(few, key=lambda user: int(user[1:]))

    def test_a_part_may_be_empty(self, tmp_path):
        part = "learning" if part_of("u0") == "reporting" else "reporting"
        with pytest.raises(InputError, match=f"is of the part {part}"):
            cases_of(shop(tmp_path, people=1), part=part, **GIVEN)

    @pytest.mark.parametrize("length", [0, 1, 3, 99])
    def test_a_history_cut_short_changes_nothing_else(self, tmp_path, length):
        options = {"split": "given", "negatives": "random", "count": 5}
        whole = cases_of(shop(tmp_path), **options).cases
        for before, case in zip(
            whole, cases_of(tmp_path, history_length=length, **options).cases, strict=True
        ):
            assert case.query.events == before.query.events[max(0, 5 - length) :]
            assert case.query.candidates == before.query.candidates
            assert case.consumed == before.consumed


@pytest.mark.parametrize("negatives", ["random", "popularity", "retriever"])
def test_another_process_makes_the_same_queries(tmp_path, negatives):
    folder = shop(tmp_path)
    script = (
        "import sys; from llmrec.evaluation.datasets import read_dataset;"
        "from llmrec.evaluation.protocols import make_cases;"
        "from llmrec.evaluation.types import ProtocolOptions;"
        "options = ProtocolOptions(negatives=sys.argv[2], seed=3, users=9);"
        "made = make_cases(read_dataset(sys.argv[1]), options);"
        "sys.stdout.write('|'.join(case.query.model_dump_json() for case in made.cases))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder), negatives], capture_output=True, check=True, timeout=120
    )
    here = cases_of(folder, negatives=negatives, seed=3, users=9).cases
    assert done.stdout.decode() == "|".join(case.query.model_dump_json() for case in here)


def test_what_chance_gives(tmp_path):
    made = cases_of(shop(tmp_path), split="given", negatives="random", count=19)
    expected = expected_by_chance(made.cases, (1, 10))
    discounts = 1 / np.log2(np.arange(2, 12))
    assert expected["ndcg@10"] == pytest.approx(discounts.sum() / 20)
    assert expected["hit@10"] == pytest.approx(0.5)
    assert expected["hit@1"] == pytest.approx(0.05)
    assert expected["mrr"] == pytest.approx(sum(1 / rank for rank in range(1, 21)) / 20)
    assert expected["auc"] == pytest.approx(0.5)


def test_what_chance_gives_with_several_targets(tmp_path):
    events = [("u", str(at), 5, at) for at in range(10)]
    folder = rated(tmp_path / "ml", events, [str(at) for at in range(40)])
    made = cases_of(folder, split="temporal", temporal_share=0.3, count=4)
    assert (made.cases[0].candidates, len(made.cases[0].targets)) == (15, 3)
    expected = expected_by_chance(made.cases, (5,))
    assert expected["hit@5"] == pytest.approx(1 - math.comb(12, 5) / math.comb(15, 5))
    assert expected["recall@5"] == pytest.approx(5 / 15)


def test_targets_are_those_of_the_file(tmp_path):
    folder = shop(tmp_path)
    assert {c.query.id: c.targets[0] for c in cases_of(folder, **GIVEN).cases} == targets_of(folder)
