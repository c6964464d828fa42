"""From read events to a hierarchy: what is kept, what is suppressed, and what an edit changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.behavior.events import HistoryEntry
from llmrec.interests.edits import Edit, Lower, Merge, Move, Pin, Raise, Remove, Rename, Unpin
from llmrec.interests.extraction import EventReading
from llmrec.interests.hierarchy import InterestHierarchy
from llmrec.interests.organization import organize
from llmrec.settings import InterestNumbers
from tests.builders import DAY, NOON, history_of, label, readings
from tests.interests.test_numbers import told

LONG_TERM_ONLY = InterestNumbers(short_term_share=0, least_weight=0)


def hierarchy_of(history: object, found: list[EventReading], **options: object) -> InterestHierarchy:
    return organize(history, found, LONG_TERM_ONLY, **options).hierarchy  # type: ignore[arg-type]


def test_weights_are_parts_of_everything_the_person_did() -> None:
    history = history_of(told("purchase", "click", "save"))
    hierarchy = hierarchy_of(history, readings(label("films/horror", 0.8), label("films", 0.5), []))
    # Strengths 1, 0.3 and 0.6; the event without a label counts in the whole.
    assert hierarchy["films"].weight == pytest.approx((1 * 0.8 + 0.3 * 0.5) / 1.9)
    assert hierarchy["films/horror"].weight == pytest.approx(1 * 0.8 / 1.9)
    assert hierarchy["films"].confidence == pytest.approx(1 - (1 - 0.8) * (1 - 0.15))
    assert hierarchy["films/horror"].confidence == pytest.approx(0.8)
    assert [evidence.event_id for evidence in hierarchy["films"].evidence] == ["e1", "e2"]
    assert [evidence.share for evidence in hierarchy["films"].evidence] == [0.8, 0.5]


def test_a_dislike_of_a_thing_says_less_of_its_kind() -> None:
    history = history_of(told("like", "dislike", "dislike"))
    hierarchy = hierarchy_of(
        history, readings(label("films/drama"), label("films/horror/gore"), label("films/horror"))
    )
    gore, horror, films = (hierarchy[name] for name in ("films/horror/gore", "films/horror", "films"))
    assert (gore.disliked, horror.disliked) == (pytest.approx(1 / 3), pytest.approx(1.5 / 3))
    assert (films.liked, films.disliked) == (pytest.approx(1 / 3), pytest.approx(0.75 / 3))
    assert films.polarity == "positive"


def test_an_event_counts_once_in_an_interest_with_its_largest_share() -> None:
    history = history_of(told("purchase", "purchase"))
    hierarchy = hierarchy_of(history, readings([label("films/horror", 0.4), label("films/drama", 0.6)], []))
    assert hierarchy["films"].weight == pytest.approx(0.6 / 2)
    assert hierarchy["films"].support == 1
    assert hierarchy["films/horror"].weight == pytest.approx(0.4 / 2)


@pytest.mark.parametrize("no_first", [True, False])
def test_a_no_to_one_thing_is_no_no_to_what_the_same_sentence_likes(no_first: bool) -> None:
    labels = [label("films/horror", 0.9, negative=True), label("films/comedy", 0.8)]
    hierarchy = hierarchy_of(history_of(told("say")), readings(labels if no_first else labels[::-1]))
    assert (hierarchy["films/horror"].polarity, hierarchy["films/horror"].weight) == ("negative", 0.9)
    assert (hierarchy["films/comedy"].polarity, hierarchy["films/comedy"].weight) == ("positive", 0.8)
    assert (hierarchy["films"].polarity, hierarchy["films"].weight) == ("positive", 0.8)


def test_a_no_to_one_thing_is_no_no_to_all_of_its_kind() -> None:
    hierarchy = hierarchy_of(
        history_of(told("say", "say")), readings(label("films/horror", negative=True), [])
    )
    assert (hierarchy["films/horror"].polarity, hierarchy["films/horror"].weight) == ("negative", 0.5)
    assert (hierarchy["films"].polarity, hierarchy["films"].weight) == ("positive", 0.0)
    assert hierarchy["films"].support == 1
    both = [label("films/horror", 0.9, negative=True), label("films", 0.4, negative=True)]
    for labels in (both, both[::-1]):
        films = hierarchy_of(history_of(told("say")), readings(labels))["films"]
        assert (films.polarity, films.weight) == ("negative", 0.4)


def test_a_no_ends_an_interest_and_all_that_is_part_of_it_but_not_what_it_is_part_of() -> None:
    history = history_of(told(*["like"] * 8, "say", days=1))
    found = readings(*[label("films/horror/gore")] * 8, label("films/horror", negative=True))
    organization = organize(history, found, InterestNumbers())
    horror, films = organization.hierarchy["films/horror"], organization.hierarchy["films"]
    assert (horror.polarity, horror.support) == ("negative", 9)
    assert horror.ended is not None
    assert (horror.ended.event_id, horror.ended.timestamp) == ("e9", NOON + 9 * DAY)
    assert (films.polarity, films.ended) == ("positive", None)
    (gore,) = organization.suppressed
    assert (gore.id, gore.reason, gore.path, gore.support) == (
        "films/horror/gore",
        "ended",
        ("Films", "Horror", "Gore"),
        8,
    )


def test_a_sentence_that_says_no_twice_over_stays_a_no() -> None:
    # "I do not dislike" is nobody's sentence; a no about something disliked is a no.
    history = history_of(told("dislike"))
    hierarchy = hierarchy_of(history, readings(label("films", negative=True)))
    assert hierarchy["films"].polarity == "negative"


def test_the_liked_come_before_the_disliked_and_the_heavier_first() -> None:
    history = history_of(told("purchase", "save", "dislike", "click"))
    hierarchy = hierarchy_of(
        history, readings(label("b"), label("c/x"), label("a"), [label("c/y"), label("d")])
    )
    assert [found.id for found in hierarchy.interests] == ["b", "c", "c/x", "c/y", "d", "a"]


def test_a_fact_of_one_item_alone_is_not_an_interest() -> None:
    items = [{"id": "1", "title": "One"}, {"id": "2", "title": "Two"}]
    events = [
        {"user_id": "a", "id": f"e{n}", "action": action, "item_id": item_id, "timestamp": NOON}
        for n, (action, item_id) in enumerate([("view", "1"), ("purchase", "1"), ("purchase", "2")], 1)
    ]
    history = history_of(events, items)
    lynch, wong = label("films/lynch", proposed=True), label("films/wong", proposed=True)
    assert "films/lynch" in hierarchy_of(history, readings(lynch, lynch, lynch))
    two_events_of_one_item = organize(history, readings(lynch, lynch, wong), LONG_TERM_ONLY)
    assert len(two_events_of_one_item.hierarchy) == 0
    assert [(hint.id, hint.path, hint.event_ids) for hint in two_events_of_one_item.hints] == [
        ("films/lynch", ("Films", "Lynch"), ("e1", "e2")),
        ("films/wong", ("Films", "Wong"), ("e3",)),
    ]
    assert two_events_of_one_item.hints[0].balance == pytest.approx(1.2 / 2.2)
    assert "films/lynch" in hierarchy_of(history, readings(lynch, lynch, label("films/lynch")))


def test_nothing_labelled_is_an_empty_hierarchy() -> None:
    assert len(hierarchy_of(history_of(told("view")), readings([]))) == 0
    assert len(hierarchy_of([], [])) == 0


def test_what_faded_is_listed_and_the_last_of_it_stays() -> None:
    events = told("like", "like")
    events[0]["timestamp"] = NOON - 2000 * DAY
    found = organize(history_of(events), readings(label("films"), label("books")), InterestNumbers())
    assert [interest.id for interest in found.hierarchy.interests] == ["books"]
    assert [(one.id, one.reason) for one in found.suppressed] == [("films", "faded")]
    alone = organize(history_of(events), readings(label("films/drama"), []), InterestNumbers())
    assert {interest.id for interest in alone.hierarchy.interests} == {"films", "films/drama"}


HISTORY = history_of(told("like", "like", "like", "click"))
FOUND = readings(label("films/horror"), label("films/drama"), label("books"), label("books/poetry"))


def edited(*edits: object) -> InterestHierarchy:
    return hierarchy_of(HISTORY, FOUND, edits=edits)


def test_rename_merge_and_move() -> None:
    assert edited(Rename(interest="books", label="Reading"))["books"].label == "Reading"
    merged = edited(Merge(interest="books", into="films"))
    assert "books" not in merged
    assert merged["films"].support == 4
    assert merged["books/poetry"].parent_id == "films"
    moved = edited(Move(interest="books", under="films/drama"))
    assert moved.path("books/poetry") == ("Films", "Drama", "Books", "Poetry")
    assert moved["films"].support == 4
    assert edited(Move(interest="films/horror"))["films/horror"].level == 1
    upwards = edited(Merge(interest="films", into="films/horror"))
    assert upwards.path("films/drama") == ("Horror", "Drama")
    assert upwards["films/horror"].support == 2


def test_a_merge_into_what_comes_later_keeps_its_name() -> None:
    found = readings(label("films/comedy"), label("films/horror"), label("films/horror"), [])
    for into, name in (("films/horror", "Horror"), ("films/comedy", "Comedy")):
        merged = hierarchy_of(HISTORY, found, edits=[Merge(interest="films", into=into)])
        assert merged[into].label == name


def test_what_was_removed_leaves_no_hint() -> None:
    found = readings(label("films/lynch", proposed=True), label("books"), [], [])
    assert [hint.id for hint in organize(HISTORY, found, LONG_TERM_ONLY).hints] == ["films/lynch"]
    removed = organize(HISTORY, found, LONG_TERM_ONLY, edits=[Remove(interest="films")])
    assert removed.hints == ()


def test_raise_lower_pin_and_remove() -> None:
    plain = edited()
    raised = edited(Raise(interest="books/poetry"), Raise(interest="books/poetry"))
    assert raised["books/poetry"].weight == pytest.approx(4 * plain["books/poetry"].weight)
    assert edited(*[Raise(interest="books/poetry")] * 9)["books"].weight == 1.0, "no part above the whole"
    lowered = edited(Lower(interest="books"), Raise(interest="films/drama"))
    for interest_id in ("books", "books/poetry"):
        assert lowered[interest_id].weight == pytest.approx(plain[interest_id].weight / 2)
    assert edited(Raise(interest="books"), Lower(interest="books")) == plain
    assert edited(Pin(interest="books"))["books"].tier == "core"
    assert edited(Pin(interest="books"), Unpin(interest="books")) == plain
    removed = organize(HISTORY, FOUND, LONG_TERM_ONLY, edits=[Remove(interest="films")])
    assert {interest.id for interest in removed.hierarchy.interests} == {"books", "books/poetry"}
    assert {one.id for one in removed.suppressed} == {"films", "films/horror", "films/drama"}
    assert {one.reason for one in removed.suppressed} == {"removed"}


ID = st.sampled_from(["a", "b", "c", "d", "e"])
LABEL = st.builds(
    lambda parts, share, negative: label("/".join(dict.fromkeys(parts)), share, negative=negative),
    st.lists(ID, min_size=1, max_size=4),
    st.floats(0, 1),
    st.booleans(),
)
# Ids that are no paths: the same id may be placed below any other, round in circles too.
FREE = st.builds(
    lambda found: found.__class__(
        tuple(step.__class__(step.id.rsplit("/", 1)[-1], step.label) for step in found.path),
        found.share,
        found.negative,
    ),
    LABEL,
)
EDITS = st.lists(
    st.one_of(
        st.builds(lambda i, j: Merge(interest=i, into=j), ID, ID),
        st.builds(lambda i, j: Move(interest=i, under=j), ID, st.one_of(st.none(), ID)),
        st.builds(lambda i: Remove(interest=i), ID),
        st.builds(lambda i: Raise(interest=i), ID),
        st.builds(lambda i: Pin(interest=i), ID),
    ),
    max_size=5,
)


@given(
    st.lists(st.tuples(st.lists(FREE, max_size=3), st.sampled_from(["like", "dislike", "say"])), max_size=8),
    EDITS,
    st.dictionaries(ID, st.lists(ID, max_size=2), max_size=3),
)
def test_whatever_the_labels_and_edits_it_is_a_tree_that_loses_and_invents_no_event(
    given_events: list[tuple[list, str]], edits: list, broader: dict[str, list[str]]
) -> None:
    entries: list[HistoryEntry] = (
        list(history_of(told(*(action for _, action in given_events)))) if given_events else []
    )
    found = readings(*(labels for labels, _ in given_events))
    organization = organize(entries, found, InterestNumbers(), edits=edits, broader=broader)
    hierarchy = organization.hierarchy
    ids = {interest.id for interest in hierarchy.interests}
    assert not ids & {one.id for one in organization.suppressed}
    # Building the hierarchy has checked that it is a forest with evidence passed up; every link goes up.
    for interest in hierarchy.interests:
        seen, waiting = set(), [interest.id]
        while waiting:
            current = hierarchy[waiting.pop()]
            above = [*current.broader, *([current.parent_id] if current.parent_id else [])]
            assert interest.id not in above
            waiting += [one for one in above if one not in seen]
            seen.update(above)
    labelled = {e.event.id for e, r in zip(entries, found, strict=True) if r.labels}
    cited = {e.event_id for interest in hierarchy.interests for e in interest.evidence}
    assert cited <= labelled
    if not organization.suppressed:
        assert cited == labelled
    assert organize(entries, found, InterestNumbers(), edits=edits, broader=broader) == organization


@pytest.mark.parametrize("numbers", [LONG_TERM_ONLY, InterestNumbers(raise_factor=1e300)])
def test_no_number_of_raises_is_too_many(numbers: InterestNumbers) -> None:
    history = history_of(told("like", "view"))
    found = readings(label("films/horror"), label("books"))
    wishes: list[Edit] = [Raise(interest="films")] * 1100
    raised = organize(history, found, numbers, edits=wishes).hierarchy
    assert raised["films"].weight == raised["films/horror"].weight == 1
    lowered: list[Edit] = [*wishes, *[Lower(interest="films")] * 1100]
    assert organize(history, found, numbers, edits=lowered).hierarchy == (
        organize(history, found, numbers).hierarchy
    )
    sunk = organize(history, found, numbers, edits=[Lower(interest="films")] * 1100)
    assert all(one.weight < 1e-9 for one in sunk.hierarchy.interests if one.id.startswith("films"))
    both = organize(history, found, numbers, edits=[*wishes, Lower(interest="films")])
    assert both.hierarchy["films"].weight == 1
