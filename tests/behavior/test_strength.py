"""How much an action says, and how it fades."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec.behavior.events import Catalog, Event, Item
from llmrec.behavior.strength import build_history, decays, event_strength
from llmrec.errors import InputError
from llmrec.settings import DEFAULT_ACTION_STRENGTHS, Settings

DAY = 86_400.0
NOW = 1_719_830_000.0
SETTINGS = Settings(half_life_days=30)


def event(action="view", item_id="a", **fields):
    return Event(user_id=fields.pop("user_id", "ana"), action=action, item_id=item_id, **fields)


class TestEventStrength:
    @pytest.mark.parametrize(("value", "strength"), [(5, 1.0), (3, 0.2), (2.5, 0.0), (1, -0.6), (0.5, -0.8)])
    @pytest.mark.parametrize("action", ["rate", "review"])
    def test_a_rating_is_scaled_by_its_value(self, action, value, strength):
        assert event_strength(event(action, value=value), SETTINGS) == pytest.approx(strength)

    def test_a_rating_is_scaled_by_the_strength_of_its_action_too(self):
        settings = Settings(action_strengths={"rate": 0.5})
        assert event_strength(event("rate", value=5), settings) == 0.5

    @pytest.mark.parametrize("action", ["rate", "review"])
    def test_without_a_value_it_counts_half(self, action):
        assert event_strength(event(action), SETTINGS) == 0.5

    @pytest.mark.parametrize("action", sorted(set(DEFAULT_ACTION_STRENGTHS) - {"rate", "review"}))
    def test_the_value_of_other_actions_changes_nothing(self, action):
        assert event_strength(event(action, value=12), SETTINGS) == DEFAULT_ACTION_STRENGTHS[action]

    def test_settings_give_strengths_to_other_actions(self):
        settings = Settings(action_strengths={"borrow": 0.7, "view": -0.1})
        assert event_strength(event("borrow"), settings) == 0.7
        assert event_strength(event("view"), settings) == -0.1

    def test_what_has_no_usable_strength_is_refused(self):
        with pytest.raises(InputError, match=r"'borrow'.*LLMREC_ACTION_STRENGTHS"):
            event_strength(event("borrow"), SETTINGS)
        # Built without validation, as settings from elsewhere may be.
        for strength in (3.0, float("nan")):
            settings = Settings.model_construct(action_strengths={"borrow": strength})
            with pytest.raises(InputError, match="from -1 to 1"):
                event_strength(event("borrow"), settings)
        with pytest.raises(InputError, match="rescale"):
            event_strength(event("rate", value=80), SETTINGS)

    @settings(deadline=None)
    @given(
        st.sampled_from(sorted(DEFAULT_ACTION_STRENGTHS)),
        st.none() | st.floats(0.5, 5),
        st.floats(-1, 1),
    )
    def test_always_lies_between_minus_one_and_one(self, action, value, strength):
        settings = Settings(action_strengths={action: strength})
        assert -1 <= event_strength(event(action, value=value), settings) <= 1


class TestDecays:
    def test_halves_every_half_life_before_the_last_event(self):
        times = [NOW - 60 * DAY, NOW - 30 * DAY, NOW]
        assert decays(times, 30) == pytest.approx([0.25, 0.5, 1.0])

    def test_an_undated_event_takes_the_nearest_dated_one_before_it_else_after_it(self):
        times = [None, NOW - 30 * DAY, None, None, NOW, None]
        assert decays(times, 30) == pytest.approx([0.5, 0.5, 0.5, 0.5, 1.0, 1.0])

    def test_without_any_time_nothing_fades(self):
        assert decays([None, None], 30) == [1.0, 1.0]
        assert decays([], 30) == []

    @pytest.mark.parametrize("half_life", [0, -1, float("nan")])
    def test_the_half_life_must_be_positive(self, half_life):
        with pytest.raises(InputError, match="above 0"):
            decays([NOW], half_life)

    @settings(deadline=None)
    @given(
        st.lists(st.none() | st.floats(9.5e8, 4.1e9)),
        st.floats(0, exclude_min=True, allow_nan=False),
    )
    def test_lies_between_zero_and_one_and_the_last_event_keeps_all(self, times, half_life):
        found = decays(times, half_life)
        assert len(found) == len(times)
        assert all(0 <= decay <= 1 for decay in found)
        if times:
            assert max(found) == 1.0
        dated = sorted((time, decay) for time, decay in zip(times, found, strict=True) if time is not None)
        assert [decay for _, decay in dated] == sorted(decay for _, decay in dated)


class TestBuildHistory:
    def test_joins_events_with_items_strengths_and_decays_in_the_order_of_time(self):
        catalog = Catalog([Item(id="a", title="Alien"), Item(id="b", title="Brazil")])
        events = [
            event("purchase", "b", timestamp=NOW),
            event("rate", "a", value=1, timestamp=NOW - 30 * DAY),
            event("say", None, text="quiet films"),
            event("like", "a", user_id="ben", timestamp=NOW + 300 * DAY),
            event("review", "gone", text="not for sale any more", timestamp=NOW),
        ]
        history = build_history("ana", events, catalog, SETTINGS)
        assert history.user_id == "ana"
        assert [entry.title for entry in history] == [
            "Alien",
            "quiet films",
            "Brazil",
            "not for sale any more",
        ]
        assert [entry.strength for entry in history] == pytest.approx([-0.6, 1.0, 1.0, 0.5])
        assert [entry.decay for entry in history] == pytest.approx([0.5, 0.5, 1.0, 1.0])
        assert history.item_ids == {"a", "b", "gone"}, "touched, though the catalogue does not hold it"

    def test_works_without_a_catalogue_and_for_a_stranger(self):
        assert build_history("ana", [event("like", "a")], None, SETTINGS)[0].item is None
        assert len(build_history("nobody", [event("like", "a")], None, SETTINGS)) == 0
