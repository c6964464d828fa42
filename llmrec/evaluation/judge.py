"""The judge: the one process that knows the targets, apart from the one that ranks.

A data set that holds targets is only ever read in a process of the judge's own, which lives for one task.
It leaves behind queries, items and a log without anything that is held out; ranking code works from those, in
the process that called, and writes scores; a second process of the judge then finds the same targets again,
reads the scores and writes figures. So there is no moment at which targets and ranking code share a process,
or at which a file made here holds targets while something ranks.

By hand, with one task as JSON on standard input and its answer as JSON on standard output:

    echo '{"task": "prepare", "data": {"path": "games"}, "folder": "run",
           "options": {"split": "given", "negatives": "given", "negatives_name": "random_negatives"}}' \\
        | python -m llmrec.evaluation.judge
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

import llmrec
from llmrec.behavior.events import describe_validation_error
from llmrec.behavior.text import printable
from llmrec.errors import InputError, LlmrecError
from llmrec.evaluation.datasets import Dataset, DataSource
from llmrec.evaluation.prepared import (
    FIGURES,
    ITEMS,
    LOG,
    PREPARED,
    QUERIES,
    SCORES,
    Measured,
    Prepared,
    read_prepared,
    remove_file,
    write_lines,
)
from llmrec.evaluation.types import ProtocolOptions, Variant
from llmrec.settings import load_settings

CUTOFFS = (1, 5, 10, 20)
"""The lengths of lists that figures are given for."""


class Task(BaseModel):
    """What the judge is asked to do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Literal["prepare", "measure", "targets"]
    data: DataSource
    options: ProtocolOptions = ProtocolOptions()
    folder: Path = Path()
    variant: Variant | None = None
    at: tuple[int, ...] = CUTOFFS


def prepare(
    data: DataSource | Path | str, options: ProtocolOptions, folder: Path, *, variant: Variant | None = None
) -> Prepared:
    """Have the judge write into a folder all that ranking code needs: queries, items, the log.

    A folder that holds the same already is left as it is, except that figures of an earlier ranking, which
    tell the targets, are removed. `variant` fixes the place of the target, for a
    probe: such a folder gives the target away, and is to be prepared after every other ranking is over.
    Raises InputError when the data cannot be read or does not allow the protocol, when the folder cannot be
    written, and when it holds another evaluation.
    """
    answer = _ask(Task(task="prepare", data=_source(data), options=options, folder=folder, variant=variant))
    return Prepared.model_validate(answer)


def measure(
    folder: Path, data: DataSource | Path | str, options: ProtocolOptions, *, at: Sequence[int] = CUTOFFS
) -> Measured:
    """Have the judge read all scores in a prepared folder and write figures.jsonl beside them.

    Its rows are `QueryFigures`, for every query that a system has answered. They tell the targets: call it
    when the ranking is over.
    Raises InputError when the folder was prepared from other data or options, and for scores of queries that
    were not asked.
    """
    answer = _ask(Task(task="measure", data=_source(data), options=options, folder=folder, at=tuple(at)))
    return Measured.model_validate(answer)


def targets(data: DataSource | Path | str, options: ProtocolOptions) -> dict[str, list[str]]:
    """The ids of the target items by the id of the query, to learn weights from when signals are computed.

    Raises InputError as `prepare` does, and for the people that figures are reported on.
    """
    if options.part == "reporting":
        raise InputError(
            "weights are not learned from the people that figures are reported on: take the part learning"
        )
    answer = _ask(Task(task="targets", data=_source(data), options=options))
    return {str(query): [str(item_id) for item_id in ids] for query, ids in answer.items()}


def _source(data: DataSource | Path | str) -> DataSource:
    return data if isinstance(data, DataSource) else DataSource(path=Path(data))


def _ask(task: Task) -> Mapping[str, Any]:
    """Run a process for one task; its own sentence is raised when it fails."""
    # The child finds the package that asks, also where that was put on the path by hand.
    paths = [str(Path(llmrec.__file__).parent.parent), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "PYTHONSAFEPATH": "1",
        "PYTHONIOENCODING": "utf-8",
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "llmrec.evaluation.judge"],
            input=task.model_dump_json().encode("utf-8"),
            capture_output=True,
            env=environment,
            check=False,
        )
    except OSError as error:
        raise InputError(f"the judge's process cannot be started: {error.strerror or error}") from None
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        # Nothing of what it wrote is shown: a traceback may name a target.
        ending = f"signal {-done.returncode}" if done.returncode < 0 else f"exit status {done.returncode}"
        raise LlmrecError(
            f"the judge's process ended without an answer ({ending}): see that there is memory enough"
        ) from None
    if "error" in answer:
        raise (InputError if answer.get("input") else LlmrecError)(str(answer["error"]))
    found: Mapping[str, Any] = answer["answer"]
    return found


def main() -> int:
    """Do the task on standard input; the exit status is 0, or 2 when an error is answered."""
    try:
        task = Task.model_validate_json(sys.stdin.buffer.read())
        answer: dict[str, Any] = {"answer": _DO[task.task](task)}
    except ValidationError as error:
        answer = {"error": f"the task: {describe_validation_error(error)}", "input": True}
    except LlmrecError as error:
        answer = {"error": str(error), "input": isinstance(error, InputError)}
    except Exception as error:
        # Of a fault of the judge's own only the place is told: its values may be targets.
        place = traceback.extract_tb(error.__traceback__)[-1]
        fault = f"{type(error).__name__} in {Path(place.filename).name}, line {place.lineno}"
        answer = {"error": f"the judge met a fault of its own ({fault}): please report it", "input": False}
    sys.stdout.write(json.dumps(answer, ensure_ascii=True) + "\n")
    return 2 if "error" in answer else 0


def _prepare(task: Task) -> dict[str, Any]:
    from llmrec.evaluation.protocols import expected_by_chance, make_cases

    dataset = task.data.read()
    fingerprint = _fingerprint(dataset, task.options, task.variant)
    known = read_prepared(task.folder)
    if known is not None and known.fingerprint != fingerprint:
        raise _of_another(task.folder, known)
    remove_file(task.folder / FIGURES)
    if known is not None:
        return known.model_dump(mode="json")
    made = make_cases(dataset, task.options, variant=task.variant)
    prepared = Prepared(
        dataset=dataset.name,
        fingerprint=fingerprint,
        options=task.options,
        variant=task.variant,
        people=len(made.cases),
        items=len(dataset.catalog),
        log_people=len(made.log),
        candidates_per_query=sum(case.candidates for case in made.cases) / len(made.cases),
        chance=expected_by_chance(made.cases, task.at),
        notes=(*dataset.notes, *made.notes),
    )
    rows = list(made.log.sequences.items())
    if task.options.history_length is not None:
        # Under their own names the rows would tell the rest of the histories that are cut short.
        rows.sort(key=lambda row: hashlib.sha256(f"{dataset.digest} {row[0]}".encode()).digest())
        rows = [(f"person {number}", items) for number, (_, items) in enumerate(rows, start=1)]
    write_lines(
        task.folder / QUERIES, (case.query.model_dump_json(exclude_defaults=True) for case in made.cases)
    )
    write_lines(
        task.folder / ITEMS,
        (item.model_dump_json(exclude_defaults=True) for item in dataset.catalog.items_in_order),
    )
    write_lines(
        task.folder / LOG,
        (json.dumps({"user_id": person, "items": items}, ensure_ascii=False) for person, items in rows),
    )
    # Last: with it the folder is whole.
    write_lines(task.folder / PREPARED, [prepared.model_dump_json(indent=2)])
    return prepared.model_dump(mode="json")


def _measure(task: Task) -> dict[str, Any]:
    from llmrec.evaluation.measuring import measure_system
    from llmrec.evaluation.protocols import make_cases

    known = read_prepared(task.folder)
    if known is None:
        raise InputError(f"nothing was prepared in {printable(str(task.folder))}: prepare it first")
    dataset = task.data.read()
    if known.fingerprint != _fingerprint(dataset, task.options, known.variant):
        raise _of_another(task.folder, known)
    cases = make_cases(dataset, task.options, variant=known.variant).cases
    answered: dict[str, int] = {}
    failed: dict[str, int] = {}
    lines: list[str] = []
    for path in sorted((task.folder / SCORES).glob("*.jsonl")):
        for row in measure_system(path.stem, path, cases, dataset.catalog, task.at):
            answered[row.system] = answered.get(row.system, 0) + 1
            if row.failed:
                failed[row.system] = failed.get(row.system, 0) + 1
            lines.append(row.model_dump_json(exclude_defaults=True))
    if not lines:
        raise InputError(f"{printable(str(task.folder))} holds no scores yet: rank something first")
    write_lines(task.folder / FIGURES, lines)
    notes = tuple(f"{name}: {count} answers are no ranking and count 0" for name, count in failed.items())
    measured = Measured(queries=len(cases), systems=answered, failed=failed, notes=notes)
    return measured.model_dump(mode="json")


def _targets(task: Task) -> dict[str, Any]:
    from llmrec.evaluation.protocols import make_cases

    cases = make_cases(task.data.read(), task.options).cases
    return {case.query.id: list(case.targets) for case in cases}


_DO = {"prepare": _prepare, "measure": _measure, "targets": _targets}


def _fingerprint(dataset: Dataset, options: ProtocolOptions, variant: Variant | None) -> str:
    from llmrec.evaluation.protocols import PROTOCOL_VERSION

    strengths = load_settings().action_strengths
    parts = [PROTOCOL_VERSION, dataset.digest, options.model_dump(mode="json"), variant, strengths]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _of_another(folder: Path, known: Prepared) -> InputError:
    return InputError(
        f"{printable(str(folder))} holds another evaluation (of {printable(known.dataset, 60)}, "
        f"{known.people} people): name another folder, or remove that one"
    )


if __name__ == "__main__":
    sys.exit(main())
