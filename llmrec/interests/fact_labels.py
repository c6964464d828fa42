"""Labels from facts of an item: brand or director, period, categories the vocabulary does not know."""

from __future__ import annotations

import re

from llmrec.interests.extraction import EventLabel, PathStep
from llmrec.interests.subjects import Subject
from llmrec.interests.taxonomy import Vocabulary, slug

OWN_CATEGORY = 0.9
"""The share of a category that the vocabulary has no name for: sure, as the catalogue says so, but below
those that it has."""
PERIOD = 0.5
"""The share of a period: a film is about other things first."""
YEAR = re.compile(r"(?:19|20)\d\d")
YEAR_AFTER_TITLE = re.compile(r"\(((?:19|20)\d\d)\)\s*$")


def fact_labels(subject: Subject, vocabulary: Vocabulary, language: str, area: str) -> list[EventLabel]:
    """The labels that an item's facts give it in an area of the vocabulary.

    Values of attributes that the vocabulary has a place for, such as brand, stand below that place; the
    catalogue's own categories (not the domain), and the year and decade (of the attribute `year`, or of a
    year in brackets after the title) directly in the area. What the vocabulary does not know is proposed;
    periods are hints.
    """
    ancestors = (PathStep(area, vocabulary[area].label(language)),)
    labels = _attribute_labels(subject, vocabulary, language, ancestors)
    # What kind of thing an item is, such as a gadget, is no part of one area.
    for kind in subject.kinds[1:] if subject.domain else subject.kinds:
        nameless = slug(kind) == "other" or not any(map(str.isalnum, kind))
        if not nameless and not vocabulary.named(kind) and not vocabulary.mentions(kind):
            step = PathStep(f"{area}/{slug(kind)}", kind.strip())
            labels.append(EventLabel((*ancestors, step), OWN_CATEGORY, proposed=True))
    year = _year(subject)
    if year is not None:
        decade = f"{year // 10 * 10}s"
        names = {decade: f"{decade[:-1]}年代" if language == "zh" else decade, str(year): str(year)}
        labels += [
            EventLabel((*ancestors, PathStep(f"{area}/{period}", name)), PERIOD, proposed=True, minor=True)
            for period, name in names.items()
        ]
    return labels


def _attribute_labels(
    subject: Subject, vocabulary: Vocabulary, language: str, ancestors: tuple[PathStep, ...]
) -> list[EventLabel]:
    attributes = dict(subject.attributes)
    labels = []
    for place in vocabulary.children(ancestors[-1].id):
        value = attributes.get(place.attribute or "")
        if not value:
            continue
        above = (*ancestors, PathStep(place.id, place.label(language)))
        known = next((n for n in vocabulary.named(value) if vocabulary[n].parent == place.id), None)
        if known is not None:
            step = PathStep(known, vocabulary[known].label(language))
        else:
            step = PathStep(f"{place.id}/{slug(value)}", value)
        labels.append(EventLabel((*above, step), 1.0, proposed=known is None))
    return labels


def _year(subject: Subject) -> int | None:
    if subject.is_text:
        return None
    told = dict(subject.attributes).get("year", "").strip()
    if YEAR.fullmatch(told):
        return int(told)
    found = YEAR_AFTER_TITLE.search(subject.title)
    return int(found.group(1)) if found else None
