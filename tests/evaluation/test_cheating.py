"""A planted ranker that looks for the target everywhere in its process, and must stay within chance."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import types
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from llmrec import Recommender
from llmrec.candidates.log import InteractionLog
from llmrec.errors import InputError
from llmrec.evaluation.datasets import DataSource
from llmrec.evaluation.probing import ProbeOptions
from llmrec.evaluation.run import evaluate
from llmrec.evaluation.systems import FunctionSystem, RankerSystem, RecommenderSystem
from llmrec.evaluation.types import Material, ProtocolOptions, Query
from llmrec.ranking.base import Cost, ItemScores, RankingRequest
from tests.builders import scoring_model
from tests.evaluation.made_datasets import shop, targets_of

PEOPLE = 40
GIVEN = ProtocolOptions(split="given", negatives="given", negatives_name="random_negatives")
LONGEST = 500
"""Longer containers hold many people and say nothing of one."""


class Cheater:
    """Takes as the answer what any container names together with the person, when it is one candidate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.found = 0

    def scores(self, query: Query) -> list[float]:
        candidates = set(query.candidates)
        votes = dict.fromkeys(query.candidates, 0)
        own = {id(votes), id(candidates), id(query)}
        for texts in self.groups(query, own):
            named = candidates & texts
            if len(named) == 1 and texts & {query.id, query.user_id}:
                votes[named.pop()] += 1
        self.found += any(votes.values())
        # Also the place of a candidate in the list may be a sign: ties go to the first.
        return [votes[item] * 1000.0 - place for place, item in enumerate(query.candidates)]

    def groups(self, query: Query, own: set[int]) -> Iterator[set[str]]:
        """The texts that stand together somewhere: in an object, a frame, a file, the environment."""
        wanted = {query.id, query.user_id}
        for thing in gc.get_objects():
            # Most of the half a million objects are told apart here, before anything costs time.
            if may_hold_texts(type(thing)) and id(thing) not in own:
                yield from together(thing, wanted)
        for frame in every_frame():
            yield from together(frame.f_locals, wanted)
            yield from together(frame.f_globals, wanted)
        for module in list(sys.modules.values()):
            yield from together(vars(module) if hasattr(module, "__dict__") else {}, wanted)
        yield from (words([value]) for value in os.environ.values())
        for place in Path("/proc/self/fd").glob("*") if Path("/proc/self/fd").is_dir() else ():
            yield from lines_of(place)
        for path in sorted(self.folder.rglob("*")):
            yield from lines_of(path)


@cache
def may_hold_texts(kind: type) -> bool:
    own = str(kind.__module__).startswith(("llmrec", "tests"))
    return own or kind in (dict, list, tuple, set, frozenset, types.FunctionType)


def every_frame() -> Iterator[types.FrameType]:
    for frame in sys._current_frames().values():
        current: types.FrameType | None = frame
        while current is not None:
            yield current
            current = current.f_back


def together(thing: Any, wanted: set[str]) -> Iterator[set[str]]:
    """The texts of a container that names the person, one level into what it holds, and of closures."""
    if isinstance(thing, types.FunctionType):
        thing = [cell.cell_contents for cell in thing.__closure__ or () if _filled(cell)]
    elif str(type(thing).__module__).startswith(("llmrec", "tests")):
        thing = getattr(thing, "__dict__", None)
    if not thing or not isinstance(thing, (dict, list, tuple, set, frozenset)) or len(thing) > LONGEST:
        return
    if isinstance(thing, dict):
        for key in wanted:
            if key in thing:
                yield {key} | texts_in(thing[key])
        thing = list(thing.values())
    if any(isinstance(part, str) and part in wanted for part in thing):
        yield {text for part in thing for text in texts_in(part)}
    for part in thing:
        # What holds nothing but texts is no garbage collector's business, and in none of its lists.
        if isinstance(part, (dict, tuple)) and part and not gc.is_tracked(part):
            yield from together(part, wanted)


def texts_in(thing: Any) -> set[str]:
    if isinstance(thing, str):
        return {thing}
    if isinstance(thing, dict):
        thing = thing.values()
    elif not isinstance(thing, (list, tuple, set, frozenset)):
        return set()
    return {part for part in thing if isinstance(part, str)}


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


def lines_of(path: Path) -> Iterator[set[str]]:
    """The words of each line of a file."""
    try:
        if not path.is_file() or path.stat().st_size > 10_000_000:
            return
        text = path.read_text("utf-8", errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        yield texts_of_line(line)


def texts_of_line(line: str) -> set[str]:
    try:
        return set(all_texts(json.loads(line)))
    except ValueError:
        return words([line])


def all_texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for part in (*value.keys(), *value.values()):
            yield from all_texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from all_texts(part)


def words(texts: Iterable[str]) -> set[str]:
    return {word for text in texts for word in text.replace('"', " ").replace(",", " ").split()}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop(tmp_path_factory.mktemp("shop"), people=PEOPLE)


def test_a_cheating_ranker_finds_no_target(data: Path, tmp_path: Path) -> None:
    cheater = Cheater(tmp_path)
    result = evaluate(
        DataSource(path=data),
        systems=[FunctionSystem("cheater", cheater.scores)],
        options=GIVEN,
        folder=tmp_path,
        probes=ProbeOptions(names=("candidate-order", "other-history"), people=10),
    )
    figures = next(system for system in result.systems if system.name == "cheater").metrics["ndcg@5"]
    assert figures.low <= result.chance["ndcg@5"] <= figures.high
    assert figures.people == PEOPLE


@pytest.mark.parametrize("whole", [True, False])
def test_a_recommender_whose_log_holds_the_targets_is_refused(
    data: Path, tmp_path: Path, *, whole: bool
) -> None:
    """Somebody who opens one with all they have has put the answers into it."""
    items = [json.loads(line) for line in (data / "items.jsonl").read_text("utf-8").splitlines()]
    log = InteractionLog({user: [target] for user, target in targets_of(data).items()})
    with Recommender(scoring_model(), items, log=log, labelled_by_model=0) as recommender:
        system = RecommenderSystem(recommender) if whole else RankerSystem(Popular(log), recommender)
        with pytest.raises(InputError, match=r"it may hold the targets: open it with log=material\.log"):
            evaluate(DataSource(path=data), systems=[system], options=GIVEN, folder=tmp_path)
        with pytest.raises(InputError, match="it may hold the targets"):
            evaluate(
                DataSource(path=data),
                systems=[FunctionSystem(system.name, lambda query: [0.0] * len(query.candidates))],
                options=GIVEN,
                probes=ProbeOptions(names=("paraphrase",), people=3, paraphrased=lambda material: [system]),
            )
    assert not (tmp_path / "scores" / f"{system.name}.jsonl").exists()


class Popular:
    """A strategy that likes what a log's people chose."""

    name = "popular"

    def __init__(self, log: InteractionLog) -> None:
        self.log = log

    def cost(self, request: RankingRequest) -> Cost:
        return Cost()

    def score(self, request: RankingRequest, **options: Any) -> ItemScores:
        return ItemScores(tuple(float(self.log.counts[item.id]) for item in request.items))


def test_a_recommender_with_the_log_of_the_run_is_taken(data: Path, tmp_path: Path) -> None:
    with contextlib.ExitStack() as opened:

        def systems(material: Material) -> list[RecommenderSystem]:
            made = Recommender(scoring_model(), material.catalog, log=material.log, labelled_by_model=0)
            return [RecommenderSystem(opened.enter_context(made), strategy="none")]

        result = evaluate(
            DataSource(path=data), systems=systems, options=GIVEN.model_copy(update={"users": 5})
        )
    assert "llmrec" in {system.name for system in result.systems}


def closure_over(user: str, target: str) -> Any:
    return lambda: (user, target)


def in_memory(known: dict[str, str], folder: Path, patch: pytest.MonkeyPatch) -> Any:
    return [{"user": user, "answer": [target]} for user, target in known.items()]


def in_a_mapping(known: dict[str, str], folder: Path, patch: pytest.MonkeyPatch) -> Any:
    return dict(known)


def in_closures(known: dict[str, str], folder: Path, patch: pytest.MonkeyPatch) -> Any:
    return [closure_over(user, target) for user, target in known.items()]


def in_a_file(known: dict[str, str], folder: Path, patch: pytest.MonkeyPatch) -> None:
    lines = (json.dumps({"q": user, "t": [target]}) for user, target in known.items())
    (folder / "answers.jsonl").write_text("\n".join(lines), "utf-8")


def in_the_environment(known: dict[str, str], folder: Path, patch: pytest.MonkeyPatch) -> None:
    for number, (user, target) in enumerate(known.items()):
        patch.setenv(f"LEFT_{number}", f"{user} {target}")


@pytest.mark.parametrize("leave", [in_memory, in_a_mapping, in_closures, in_a_file, in_the_environment])
def test_the_same_cheater_finds_targets_within_reach(
    data: Path, tmp_path: Path, leave: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without this, the test above could pass because the cheater is blind."""
    kept = leave(targets_of(data), tmp_path, monkeypatch)
    cheater = Cheater(tmp_path)
    result = evaluate(
        DataSource(path=data),
        systems=[FunctionSystem("cheater", cheater.scores)],
        options=GIVEN.model_copy(update={"users": 5}),
        folder=tmp_path,
    )
    figures = next(system for system in result.systems if system.name == "cheater").metrics["ndcg@5"]
    assert cheater.found == 5
    assert figures.low > result.chance["ndcg@5"]
    assert figures.mean > 0.9
    del kept
