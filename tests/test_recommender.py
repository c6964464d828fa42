"""The Recommender: the stages together, what it takes, and what it refuses."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from llmrec import Catalog, Event, Item, Recommender, Settings, Store
from llmrec.errors import InputError, LlmrecError, ModelError, ModelUnavailableError
from llmrec.interests.profile import InterestProfile
from llmrec.llm.base import Capabilities
from llmrec.llm.scripted import ScriptedModel
from llmrec.ranking.types import Ranking
from llmrec.recommender import Progress
from llmrec.weights import SIGNAL_FIELDS
from tests.builders import NOON, scoring_model, writing_model

ITEMS: list[dict[str, Any]] = [
    {"id": "alien", "title": "Alien", "categories": ["Horror"], "domain": "films"},
    {"id": "thing", "title": "The Thing", "categories": ["Horror"], "domain": "films"},
    {"id": "plenty", "title": "Plenty", "categories": ["Cookbooks"], "domain": "books"},
    {"id": "emma", "title": "Emma", "categories": ["Romance"], "domain": "films"},
]
EVENTS: list[dict[str, Any]] = [
    {"user_id": "ana", "action": "like", "item_id": "alien", "timestamp": NOON},
    {"user_id": "ana", "action": "search", "text": "scary films", "timestamp": NOON + 60},
]


def ids(ranking: Ranking) -> list[str]:
    return [placed.item.id for placed in ranking]


@pytest.fixture
def recommender() -> Any:
    with Recommender(scoring_model(None), ITEMS) as opened:
        yield opened


@pytest.fixture
def profile(recommender: Recommender) -> InterestProfile:
    return recommender.profile(EVENTS)


def test_from_events_to_an_explained_ranking(recommender: Recommender) -> None:
    profile = recommender.profile(EVENTS)
    ranking = recommender.recommend(profile, k=2)
    assert ranking.user_id == profile.user_id == "ana"
    assert len(ranking) == 2
    assert ranking[0].item.id == "thing"
    assert ranking[0].why.startswith(("shares words", "Films › Horror", "the model expects"))
    assert [placed.rank for placed in ranking] == [1, 2]
    assert ranking[0].score > ranking[1].score
    of_meaning = {"embedding", "embedding_best"} if recommender.embedder is not None else set()
    assert set(ranking[0].signals) == {"bm25", "bm25_best", "interests", "likelihood_ratio", *of_meaning}
    assert sum(placed.probability or 0 for placed in recommender.recommend(profile)) == pytest.approx(1)
    assert ranking.candidates == 3
    assert set(ranking.seconds) == {"candidates", "ranking", "explanation"}
    assert ranking.model == profile.model == recommender.model.fingerprint


def test_what_was_touched_is_left_out_unless_repeats_are_wanted(
    recommender: Recommender, profile: InterestProfile
) -> None:
    assert "alien" not in ids(recommender.recommend(profile))
    assert set(ids(recommender.recommend(profile, repeats=True))) == {item["id"] for item in ITEMS}


def test_a_disliked_item_is_left_out_too(recommender: Recommender) -> None:
    disliked = [*EVENTS, {"user_id": "ana", "action": "dislike", "item_id": "emma"}]
    assert ids(recommender.recommend(recommender.profile(disliked))) == ["thing", "plenty"]


def test_candidates_are_items_ids_or_records(recommender: Recommender, profile: InterestProfile) -> None:
    new = Item(id="shining", title="The Shining", categories=("Horror",), domain="films")
    record = {"id": "psycho", "title": "Psycho", "categories": ["Horror"]}
    ranking = recommender.recommend(profile, candidates=["plenty", new, record, "alien", "alien"])
    assert set(ids(ranking)) == {"plenty", "shining", "psycho", "alien"}, "also one that is known already"
    assert ids(ranking)[:2] == ["alien", "shining"]
    assert ids(recommender.recommend(profile, candidates=(name for name in ["emma"]))) == ["emma"]


@pytest.mark.parametrize(
    ("candidates", "fault"),
    [
        (["allien"], "the candidate 'allien' is not in the catalogue"),
        ([Item(id="alien", title="Another")], None),
        ([Item(id="x", title="One"), Item(id="x", title="Two")], "two candidates share the id 'x'"),
        ([{"id": "x"}], "candidate 1: title: Field required"),
    ],
)
def test_candidates_that_cannot_be_are_refused(
    recommender: Recommender, profile: InterestProfile, candidates: list[Any], fault: str | None
) -> None:
    if fault is None:
        assert recommender.recommend(profile, candidates=candidates)[0].item.title == "Another"
        return
    with pytest.raises(InputError, match=fault):
        recommender.recommend(profile, candidates=candidates)


def test_no_candidates_is_an_empty_ranking_with_a_note(
    recommender: Recommender, profile: InterestProfile
) -> None:
    ranking = recommender.recommend(profile, candidates=[])
    assert ids(ranking) == []
    assert ranking.notes == ("there are no candidates: give at least one",)


@pytest.mark.parametrize("k", [0, -3])
def test_k_below_one_is_refused(recommender: Recommender, profile: InterestProfile, k: int) -> None:
    with pytest.raises(InputError, match="ask for at least one item"):
        recommender.recommend(profile, k=k)


def test_equal_scores_stand_in_the_order_of_ids() -> None:
    items = [{"id": name, "title": "Same", "domain": "films"} for name in "cab"]
    with Recommender(scoring_model(), items) as recommender:
        ranking = recommender.recommend(recommender.profile(EVENTS[1:]))
    assert ids(ranking) == ["a", "b", "c"]
    assert {placed.why for placed in ranking} == {"no signal raises it above the other candidates"}


def test_the_same_is_said_twice(recommender: Recommender, profile: InterestProfile) -> None:
    first, second = recommender.recommend(profile), recommender.recommend(profile)
    assert first.items == second.items


def test_weights_of_the_fusion_decide() -> None:
    only_interests = {**dict.fromkeys(SIGNAL_FIELDS, 0), "interests": 1}
    with Recommender(scoring_model(None), ITEMS, fusion=only_interests) as opened:
        ranking = opened.recommend(opened.profile(EVENTS))
    amounts = {placed.item.id: placed.signals["interests"].value for placed in ranking}
    # thing is horror and a film, emma a film, plenty neither: 2w, w and 0, whose z-scores are these.
    assert amounts["thing"] == pytest.approx(2 * amounts["emma"])
    assert amounts["plenty"] == 0
    spread = (2 / 3) ** 0.5
    assert [placed.score for placed in ranking] == pytest.approx([1 / spread, 0, -1 / spread])
    for placed in ranking:
        assert placed.score == placed.signals["interests"].contribution


def test_a_person_who_liked_nothing_costs_no_model_call() -> None:
    model = scoring_model(None)
    with Recommender(model, ITEMS, labelled_by_model=0) as recommender:
        disliked = [{"user_id": "ana", "action": "dislike", "item_id": "alien"}]
        ranking = recommender.recommend(recommender.profile(disliked))
    assert model.history == []
    assert "the person liked nothing so far, so the model was not asked" in ranking.notes
    assert ids(ranking)[-1] == "thing", "what is like the disliked stands last"


def test_async_callers_update_the_same(recommender: Recommender) -> None:
    async def follow() -> InterestProfile:
        return await recommender.aupdate(await recommender.aprofile(EVENTS[:-1]), EVENTS[-1:])

    assert asyncio.run(follow()).hierarchy == recommender.profile(EVENTS).hierarchy


def test_async_callers_get_the_same(recommender: Recommender) -> None:
    async def ask() -> tuple[InterestProfile, Ranking]:
        profile = await recommender.aprofile(EVENTS)
        return profile, await recommender.arecommend(profile, candidates=["thing", "emma"], k=1)

    profile, ranking = asyncio.run(ask())
    again = recommender.profile(EVENTS)
    assert profile.hierarchy == again.hierarchy
    assert profile.entries == again.entries
    assert ranking.items == recommender.recommend(again, candidates=["thing", "emma"], k=1).items


def test_async_work_leaves_the_loop_free() -> None:
    free = threading.Event()

    def score(prefix: str, continuation: str) -> float:
        # This would wait for ever if the model were asked in the loop's own thread.
        assert free.wait(timeout=30)
        return -1.0

    async def ask() -> InterestProfile:
        with Recommender(scoring_model(score), ITEMS) as recommender:
            task = asyncio.create_task(recommender.aprofile(EVENTS))
            await asyncio.sleep(0.05)
            free.set()
            return await task

    assert asyncio.run(ask()).user_id == "ana"


def test_async_errors_are_the_same_errors(recommender: Recommender) -> None:
    with pytest.raises(InputError, match="2 people"):
        asyncio.run(recommender.aprofile([*EVENTS, {**EVENTS[0], "user_id": "bob"}]))


def test_events_of_two_people_are_refused(recommender: Recommender) -> None:
    with pytest.raises(InputError, match="events of 2 people \\(ana, bob\\): call profile once for each"):
        recommender.profile([*EVENTS, {**EVENTS[0], "user_id": "bob"}])
    with pytest.raises(InputError, match="of 'ana', not of 'bob'"):
        recommender.profile(EVENTS, user_id="bob")
    assert recommender.store.people() == [], "and nothing of them is kept"
    assert recommender.profile(EVENTS, user_id="ana").user_id == "ana"


@pytest.mark.parametrize(
    ("event", "fault"),
    [
        ({"action": "like", "item_id": "alien"}, "event 2: user_id: Field required"),
        ({"user_id": "ana", "action": "like"}, "event 2: an event needs an item_id or a text"),
        ({"user_id": "ana", "action": "like", "item_id": "alien", "rating": 5}, "event 2: rating: "),
        ({"user_id": "ana", "action": "like", "item_id": "x", "timestamp": "soon"}, "event 2: timestamp: "),
        ("alien", "event 2: "),
    ],
)
def test_an_event_that_is_none_is_named(recommender: Recommender, event: Any, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        recommender.profile([EVENTS[0], event])


def test_options_are_settings_and_nothing_else() -> None:
    with Recommender(scoring_model(), half_life_days=7, settings=Settings(candidates=3)) as opened:
        assert opened.settings.half_life_days == 7
        assert opened.settings.candidates == 3
    with pytest.raises(InputError, match="there is no option 'halflife': the options are "):
        Recommender(scoring_model(), halflife=7)
    for wrong in ({"half_life_days": -1}, {"candidates": 0}, {"language": "fr"}, {"fusion": {"model": -1}}):
        with pytest.raises(InputError, match="is not usable"):
            Recommender(scoring_model(), **wrong)


def test_the_environment_is_read_and_arguments_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMREC_CANDIDATES", "7")
    monkeypatch.setenv("LLMREC_LANGUAGE", "zh")
    with Recommender(scoring_model(), language="en") as opened:
        assert (opened.settings.candidates, opened.settings.language) == (7, "en")


@pytest.mark.parametrize(
    ("catalog", "fault"),
    [
        ([{"id": "1"}], "item 1: title: Field required"),
        ([{"id": "1", "title": "A"}, {"id": "1", "title": "B"}], "two items share the id '1'"),
        ("items.jsonl", "item 1: "),
    ],
)
def test_a_catalogue_that_cannot_be_is_refused(catalog: Any, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        Recommender(scoring_model(), catalog)


@pytest.mark.parametrize(
    "model", ["gpt-9", "llama-cpp:", "llama-cpp:/nowhere/model.gguf", "openai:", "embedded:other"]
)
def test_a_model_that_is_none_is_refused(model: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        Recommender(model, ITEMS, store=tmp_path / "store.db", cache_dir=tmp_path)


def test_a_catalogue_can_be_shared() -> None:
    catalog = Catalog(ITEMS)
    with Recommender(scoring_model(), catalog) as recommender:
        assert recommender.catalog is catalog


def test_progress_is_told_by_stage_and_reaches_its_end() -> None:
    told: list[Progress] = []
    with Recommender(scoring_model(), ITEMS, progress=told.append) as recommender:
        recommender.recommend(recommender.profile(EVENTS))
    assert list(dict.fromkeys(progress.stage for progress in told)) == [
        "reading events",
        "finding interests",
        "reading the catalogue",
        "ranking items",
    ]
    for stage in ("finding interests", "reading the catalogue", "ranking items"):
        steps = [progress for progress in told if progress.stage == stage]
        assert [step.done for step in steps] == sorted(step.done for step in steps)
        assert steps[-1].done == steps[-1].total > 0


def test_it_closes_what_it_opened_and_nothing_else(tmp_path: Path) -> None:
    model, store = scoring_model(), Store(tmp_path / "store.db")
    with Recommender(model, ITEMS, store=store) as recommender:
        profile = recommender.profile(EVENTS)
    model.score("still", [" open"])
    assert store.profile("ana") == profile
    store.close()
    with Recommender(scoring_model(), ITEMS, store=tmp_path / "store.db") as recommender:
        own = recommender.store
    with pytest.raises(LlmrecError):
        own.events("ana")
    recommender.close()


@pytest.mark.parametrize("error", [ModelError("out of tokens"), ModelUnavailableError("try later")])
def test_a_model_that_fails_gives_an_error_and_no_profile(error: Exception) -> None:
    with Recommender(writing_model(error), ITEMS) as recommender:
        with pytest.raises(type(error), match=str(error)):
            recommender.profile(EVENTS)
        assert recommender.store.profile("ana") is None


def failing_at_ranking(prefix: str, continuation: str) -> float:
    if prefix.startswith("A person"):
        raise ModelError("the graphics card fell out")
    return -1.0


def test_where_the_model_fails_the_other_signals_rank_and_it_is_told() -> None:
    with Recommender(scoring_model(failing_at_ranking), ITEMS) as recommender:
        profile = recommender.profile(EVENTS)
        ranking = recommender.recommend(profile)
        alone = recommender.recommend(profile, strategy="none")
        assert ranking in recommender.store.rankings("ana")
    (failure,) = ranking.failures
    assert (failure.what, failure.stand_in) == ("likelihood_ratio", "the other signals")
    assert "fell out" in failure.reason
    assert any("likelihood_ratio failed" in note and "fell out" in note for note in ranking.notes)
    assert ranking.items == alone.items
    assert "likelihood_ratio" not in ranking[0].signals


def test_a_model_that_fails_where_nothing_else_tells_gives_an_error_and_no_ranking() -> None:
    items = [{"id": name, "title": "Same", "domain": "films"} for name in "cab"]
    with Recommender(scoring_model(failing_at_ranking), items) as recommender:
        profile = recommender.profile(EVENTS[1:])
        with pytest.raises(ModelError, match="fell out"):
            recommender.recommend(profile)
        assert recommender.store.rankings("ana") == []


def test_the_cost_of_a_ranking_is_told_before_it_runs(
    recommender: Recommender, profile: InterestProfile
) -> None:
    before = recommender.model.usage
    cost = recommender.ranking_cost(profile)
    fewer = recommender.ranking_cost(profile, reordering={"filters": ["domain=books"]})
    assert recommender.model.usage == before
    assert recommender.recommend(profile).usage.calls <= cost.calls
    assert 0 < fewer.prompt_tokens < cost.prompt_tokens
    assert recommender.ranking_cost(profile, strategy="none").calls == 0


def test_a_model_that_can_do_nothing_is_refused() -> None:
    nothing = Capabilities(score=False, generate=True, structured="none", open_answers=False)
    with (
        Recommender(ScriptedModel(capabilities=nothing), ITEMS) as recommender,
        pytest.raises(ModelError, match="use a larger model"),
    ):
        recommender.profile(EVENTS)


def test_threads_may_share_a_recommender(recommender: Recommender) -> None:
    expected = recommender.recommend(recommender.profile(EVENTS)).items
    found: list[Any] = []

    def work(name: str) -> None:
        events = [{**event, "user_id": name} for event in EVENTS]
        found.append(recommender.recommend(recommender.profile(events)).items)

    threads = [threading.Thread(target=work, args=(f"person {number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [[(placed.item.id, placed.score) for placed in items] for items in found] == [
        [(placed.item.id, placed.score) for placed in expected]
    ] * 6


def test_threads_may_change_profiles_at_once() -> None:
    """Several people, and one person from several threads: each result is what it would be alone."""
    texts = [f"I like {what}" for what in ("jazz", "chess", "tea", "poetry", "cycling", "opera")]

    def changed(recommender: Recommender, profile: InterestProfile, text: str) -> InterestProfile:
        event = {"user_id": profile.user_id, "action": "say", "text": text, "timestamp": NOON + 9 * 86_400}
        profile = recommender.update(profile, [event])
        profile = recommender.edit(profile, {"kind": "add", "label": "Juggling"})
        profile = recommender.edit(profile, {"kind": "remove", "interest": "films"})
        return recommender.undo(profile)

    def said_by(profile: InterestProfile) -> list[dict[str, Any]]:
        return [interest.model_dump(exclude={"evidence"}) for interest in profile.interests]

    for names in ([f"person {number}" for number in range(6)], ["the same"] * 6):
        with Recommender(scoring_model(), ITEMS) as recommender:
            first = {
                name: recommender.profile([{**event, "user_id": name} for event in EVENTS]) for name in names
            }
            with ThreadPoolExecutor(6) as pool:
                found = list(pool.map(changed, [recommender] * 6, [first[name] for name in names], texts))
            for name in names:
                last = recommender.store.profile(name)
                assert last is not None
                made = [profile.entries for profile in found if profile.user_id == name]
                assert last.entries in made
            for name, text, profile in zip(names, texts, found, strict=True):
                assert profile.user_id == name
                assert [entry.title for entry in profile.entries][-2:] == [text, "Juggling"]
                assert said_by(changed(recommender, first[name], text)) == said_by(profile)
            assert {event.text for name in set(names) for event in recommender.store.events(name)} >= set(
                texts
            )


def test_later_events_can_be_told_in_a_later_profile(recommender: Recommender) -> None:
    first = recommender.profile(EVENTS)
    second = recommender.profile(
        [*EVENTS, {"user_id": "ana", "action": "purchase", "item_id": "plenty", "timestamp": NOON + 120}]
    )
    assert "books" not in first.hierarchy
    assert "books" in second.hierarchy
    assert recommender.store.profile_versions("ana") == [1, 2]
    assert recommender.store.profile("ana", 1) == first


def test_a_stored_profile_can_be_ranked_with(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with Recommender(scoring_model(None, fingerprint="same"), ITEMS, store=path) as recommender:
        before = recommender.recommend(recommender.profile(EVENTS))
    with Recommender(scoring_model(None, fingerprint="same"), ITEMS, store=path) as recommender:
        profile = recommender.store.profile("ana")
        assert profile is not None
        assert recommender.recommend(profile).items == before.items
        assert recommender.store.profile_versions("ana") == [1]


def test_events_may_be_events_or_records_from_any_iterable(recommender: Recommender) -> None:
    as_events = recommender.profile(Event.model_validate(event) for event in EVENTS)
    assert as_events.hierarchy == recommender.profile(iter(EVENTS)).hierarchy
