"""From the paths a model wrote, part by part, to one set of paths: labels merged, placed and given ids."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from llmrec.behavior.text import clean_text
from llmrec.interests.extraction import EventReading, ExtractionTools, PathStep
from llmrec.interests.kind_judges import WrittenKinds, kind_judge
from llmrec.interests.merging import LabelPath, fold_label, merge_labels
from llmrec.interests.placement import MAX_DEPTH, FreeLabel, Placement, place_labels
from llmrec.interests.taxonomy import slug


@dataclass
class SettledPaths:
    """What each written path has become."""

    steps: dict[LabelPath, tuple[PathStep, ...]]
    """The steps by the path as it was written."""
    broader: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Ids of further broader interests, by the id of the narrower."""
    notes: list[str] = field(default_factory=list)


def clean_path(path: Sequence[str]) -> LabelPath:
    """A written path without what cannot be seen; a label that repeats the one above is left out."""
    return _without_repeats([" ".join(clean_text(label).split()) for label in path])


def _without_repeats(labels: Sequence[str]) -> LabelPath:
    return tuple(
        label for at, label in enumerate(labels) if not at or fold_label(label) != fold_label(labels[at - 1])
    )


def known_paths(known: Iterable[EventReading]) -> Counter[tuple[PathStep, ...]]:
    """The paths of readings that stand, with the number of events behind each."""
    counts: Counter[tuple[PathStep, ...]] = Counter()
    for reading in known:
        counts.update({label.path for label in reading.labels})
    return counts


def settle_paths(
    written: Mapping[LabelPath, int],
    known: Mapping[tuple[PathStep, ...], int],
    tools: ExtractionTools,
    prompts: dict[str, str],
) -> SettledPaths:
    """Make one set of paths of all that was written, with the number of events behind each.

    Labels that mean the same below the same parent are merged. A new top label that means the same as one
    label deeper in the tree takes its place; the others are placed below the label they are a kind of, if
    any. Paths in `known` stay as they are, with their ids. The outcome depends on no order.
    """
    if not written:
        return SettledPaths({})
    standing = {
        tuple(step.label for step in path[:end]): path[:end]
        for path in sorted(known, key=lambda path: [step.id for step in path], reverse=True)
        for end in range(1, len(path) + 1)
    }
    counts = Counter(written)
    now: dict[LabelPath, LabelPath] = {path: path for path in written}

    def follow(renamed: Mapping[LabelPath, LabelPath]) -> None:
        for path in now:
            now[path] = renamed.get(now[path], now[path])

    def current() -> Counter[LabelPath]:
        found: Counter[LabelPath] = Counter()
        for path, count in counts.items():
            found[now[path]] += count
        return found

    follow(merge_labels(_with_known(current(), known), tools.embedder, fixed=standing))
    follow(_regrafted(current(), standing))
    placed, further, notes = _placed(current(), standing, tools, prompts)
    follow(placed)
    merged = merge_labels(_with_known(current(), known), tools.embedder, fixed=standing)
    follow(merged)
    ids = _name(set(now.values()), standing)
    settled = SettledPaths({path: ids[now[path]] for path in written}, notes=notes)
    for narrow, others in further.items():
        narrow, found = merged.get(narrow, narrow), [merged.get(other, other) for other in others]
        last = [ids[other][-1].id for other in found if other in ids and other != narrow]
        if narrow in ids and last:
            settled.broader[ids[narrow][-1].id] = tuple(last)
    return settled


def _with_known(
    counts: Mapping[LabelPath, int], known: Mapping[tuple[PathStep, ...], int]
) -> Counter[LabelPath]:
    total = Counter(counts)
    for path, count in known.items():
        total[tuple(step.label for step in path)] += count
    return total


def _prefixes(paths: Iterable[LabelPath]) -> set[LabelPath]:
    return {path[:end] for path in paths for end in range(1, len(path) + 1)}


def _regrafted(
    counts: Mapping[LabelPath, int], standing: Mapping[LabelPath, object]
) -> dict[LabelPath, LabelPath]:
    """New top labels that name what stands, once, below another top go there, with all below them."""
    every = sorted(_prefixes([*counts, *standing]))
    deeper: dict[str, list[LabelPath]] = defaultdict(list)
    for path in every:
        if len(path) > 1:
            for key in {fold_label(path[-1]), fold_label(path[-1], path[-2])}:
                deeper[key].append(path)
    targets = {
        path[0]: deeper[fold_label(path[0])][0]
        for path in every
        if len(path) == 1 and path not in standing and len(deeper[fold_label(path[0])]) == 1
    }
    moved: dict[LabelPath, LabelPath] = {}
    for path in every:
        target = targets.get(path[0])
        # Two tops that stand below each other stay where they are.
        if target is not None and target[0] not in targets:
            moved[path] = _bounded((*target, *path[1:]))
    return moved


def _placed(
    counts: Mapping[LabelPath, int],
    standing: Mapping[LabelPath, object],
    tools: ExtractionTools,
    prompts: dict[str, str],
) -> tuple[dict[LabelPath, LabelPath], dict[LabelPath, tuple[LabelPath, ...]], list[str]]:
    """Find a place for the new labels at the top, and for siblings of which one is broader than another.

    Returns the new path of each, the further broader ones of some, and notes.
    """
    every = sorted(_prefixes([*counts, *standing]))
    new = [path for path in every if path not in standing]
    if not new or len(every) < 2:
        return {}, {}, []
    numbers = {path: str(number) for number, path in enumerate(every, start=1)}
    labels = [
        FreeLabel(
            id=numbers[path],
            label=path[-1],
            parent=numbers[path[:-1]] if len(path) > 1 else None,
            placed=path in standing,
        )
        for path in every
    ]
    judge = kind_judge(tools, prompts)
    placement = place_labels(labels, judge, embedder=tools.embedder)
    notes = []
    if isinstance(judge, WrittenKinds) and judge.failed:
        notes.append(
            "the model gave no usable answer on which interests are kinds of others, so that those without a "
            "broader one were placed by their words and their closeness alone"
        )
    places = _paths_of(placement, {numbers[path]: path[-1] for path in every})
    renamed = {path: places[numbers[path]] for path in new}
    further = {
        places[node_id]: tuple(places[other] for other in others)
        for node_id, others in placement.further.items()
    }
    return renamed, further, notes


def _paths_of(placement: Placement, names: Mapping[str, str]) -> dict[str, LabelPath]:
    paths: dict[str, LabelPath] = {}
    for node_id in placement.parents:
        way = [node_id]
        while (above := placement.parents[way[-1]]) is not None:
            way.append(above)
        # A model may put a label below another of the same meaning: then they are one.
        paths[node_id] = _without_repeats([names[step] for step in reversed(way)])
    return paths


def _bounded(path: LabelPath) -> LabelPath:
    """A path no longer than the bound: the steps between are left out, the last one stays."""
    return path if len(path) <= MAX_DEPTH else (*path[: MAX_DEPTH - 1], path[-1])


def _name(
    paths: Iterable[LabelPath], standing: Mapping[LabelPath, tuple[PathStep, ...]]
) -> dict[LabelPath, tuple[PathStep, ...]]:
    """The steps of each path and its prefixes: known ids where they are known, else slugs of the labels."""
    steps: dict[LabelPath, tuple[PathStep, ...]] = dict(standing)
    taken = {path[-1].id for path in standing.values()}
    for path in sorted(_prefixes(paths), key=lambda path: (len(path), path)):
        if path in steps:
            continue
        above = steps[path[:-1]] if len(path) > 1 else ()
        plain = "/".join([*(step.id for step in above[-1:]), slug(path[-1])])
        step_id, number = plain, 1
        while step_id in taken:
            number += 1
            step_id = f"{plain}-{number}"
        taken.add(step_id)
        steps[path] = (*above, PathStep(step_id, path[-1]))
    return steps
