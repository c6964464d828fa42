"""Holding out: what is shown, what is to be found, and what the log keeps."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec.behavior.events import Catalog, Event
from llmrec.candidates.log import InteractionLog
from llmrec.errors import InputError
from llmrec.evaluation.datasets import Dataset, GivenCase
from llmrec.evaluation.splits import is_liked, split_dataset
from llmrec.evaluation.types import ProtocolOptions
from llmrec.settings import Settings
from tests.evaluation.made_datasets import BEGIN

ITEMS = [f"i{at}" for at in range(8)]
CATALOG = Catalog({"id": item_id, "title": item_id} for item_id in ITEMS)


def rating(user, item, value, at=None):
    return Event(
        user_id=user, action="rate", item_id=item, value=value, timestamp=None if at is None else BEGIN + at
    )


def dataset(*events, **fields):
    people = {}
    for event in events:
        people.setdefault(event.user_id, []).append(event)
    return Dataset(
        name="small",
        catalog=CATALOG,
        people={person: tuple(own) for person, own in people.items()},
        digest="d",
        **fields,
    )


def split(data, kind, **options):
    return split_dataset(data, ProtocolOptions(split=kind, **options), Settings())


class TestLeaveOneOut:
    def test_the_last_liked_event_is_held_out_with_all_that_follows(self):
        data = dataset(
            rating("u", "i0", 5, 1),
            rating("u", "i1", 4, 2),
            rating("u", "i2", 3.5, 3),
            rating("v", "i1", 2, 1),
        )
        found = split(data, "leave-one-out")
        (person,) = found.people
        assert person.targets == ("i1",)
        assert [e.item_id for e in person.events] == ["i0"]
        assert found.log.sequences == {"u": ("i0",)}

    def test_the_least_rating_may_be_lowered(self):
        data = dataset(rating("u", "i0", 5, 1), rating("u", "i1", 4, 2), rating("u", "i2", 3.5, 3))
        (person,) = split(data, "leave-one-out", least_rating=3).people
        assert person.targets == ("i2",)
        assert [e.item_id for e in person.events] == ["i0", "i1"]

    def test_events_are_put_in_the_order_of_time(self):
        (person,) = split(dataset(rating("u", "i1", 5, 9), rating("u", "i0", 5, 1)), "leave-one-out").people
        assert person.targets == ("i1",)

    def test_a_repeat_is_no_target(self):
        found = split(dataset(*(rating("u", item, 5) for item in ("i0", "i1", "i0"))), "leave-one-out")
        assert found.people[0].targets == ("i1",)

    def test_a_log_of_its_own_loses_what_is_held_out_of_its_person_alone(self):
        data = dataset(
            rating("u", "i0", 5),
            rating("u", "i1", 5),
            log=InteractionLog({"u": ["i0", "i1", "i2"], "v": ["i1"]}),
        )
        assert split(data, "leave-one-out").log.sequences == {"u": ("i0", "i2"), "v": ("i1",)}

    def test_nobody_left(self):
        with pytest.raises(InputError, match="leave-one-out finds nobody in small"):
            split(dataset(rating("u", "i0", 5), rating("v", "i0", 1), rating("v", "i1", 1)), "leave-one-out")


class TestGiven:
    def test_what_the_file_says(self):
        events = (rating("u", "i0", 5),)
        data = dataset(*events, given={"u": GivenCase(events, ("i3", "i0"), {"n": ("i4",)})})
        found = split(data, "given")
        assert found.people[0].targets == ("i3",)
        assert found.people[0].negatives == {"n": ("i4",)}
        assert found.log.sequences == {"u": ("i0",)}
        assert found.notes == ("targets that the history holds already were left out: 1",)

    def test_a_data_set_without_targets(self):
        with pytest.raises(InputError, match="small gives no targets of its own"):
            split(dataset(rating("u", "i0", 5)), "given")


class TestTemporal:
    def test_one_moment_for_all(self):
        events = [rating("u", f"i{at}", 5, at) for at in range(6)]
        events += [rating("v", "i0", 5, 0), rating("v", "i5", 2, 5), rating("w", "i7", 5, 5)]
        found = split(dataset(*events), "temporal", temporal_share=0.5)
        # Nine events at 0 0 1 2 3 4 5 5 5: the second half begins at 4.
        assert [(p.user_id, p.targets) for p in found.people] == [("u", ("i4", "i5"))]
        assert [e.item_id for e in found.people[0].events] == ["i0", "i1", "i2", "i3"]
        assert found.log.sequences == {"u": ("i0", "i1", "i2", "i3"), "v": ("i0",)}

    def test_events_without_a_time(self):
        with pytest.raises(
            InputError, match="needs a time on every event, and 1 of the 2 of small have none"
        ):
            split(dataset(rating("u", "i0", 5, 1), rating("u", "i1", 5)), "temporal")

    def test_interactions_without_times_are_left_out_with_a_note(self):
        events = [rating("u", f"i{at}", 5, at) for at in range(4)]
        data = dataset(*events, log=InteractionLog({"u": ITEMS, "v": ITEMS}))
        found = split(data, "temporal", temporal_share=0.5)
        assert found.log.sequences == {"u": ("i0", "i1")}
        assert "have no times" in found.notes[0]


@pytest.mark.parametrize(
    ("event", "liked"),
    [
        (rating("u", "i0", 4), True),
        (rating("u", "i0", 3.5), False),
        (rating("u", "i0", None), True),
        (Event(user_id="u", action="purchase", item_id="i0"), True),
        (Event(user_id="u", action="purchase", item_id="i0", value=2), True),
        (Event(user_id="u", action="return", item_id="i0"), False),
        (Event(user_id="u", action="say", text="i0"), False),
    ],
)
def test_what_makes_a_target(event, liked):
    assert is_liked(event, 4.0, Settings()) is liked


EVENTS = st.lists(
    st.builds(
        rating,
        st.sampled_from("uvw"),
        st.sampled_from(ITEMS),
        st.sampled_from([1, 3, 4, 5]),
        st.integers(0, 9),
    ),
    min_size=2,
    max_size=30,
)


@settings(max_examples=150)
@given(EVENTS, st.sampled_from(["leave-one-out", "temporal"]), st.booleans())
def test_a_target_is_neither_in_the_history_nor_in_the_persons_log(events, kind, own_log):
    data = dataset(*events)
    if own_log:
        log = InteractionLog({person: [e.item_id for e in own] for person, own in data.people.items()})
        data = Dataset(**{**vars(data), "log": log})
    try:
        found = split(data, kind, temporal_share=0.4)
    except InputError:
        return
    for person in found.people:
        shown = {event.item_id for event in person.events}
        assert person.events
        assert person.targets
        assert not shown & set(person.targets)
        assert set(found.log.sequences.get(person.user_id, ())) <= shown
        latest = max(event.timestamp for event in person.events)
        of_targets = [e.timestamp for e in data.people[person.user_id] if e.item_id in person.targets]
        assert all(stamp >= latest for stamp in of_targets)
