"""The store: what goes in comes out, over versions, files, threads and processes."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from llmrec.behavior.events import Event
from llmrec.errors import InputError, StoreError
from llmrec.interests.profile import InterestProfile
from llmrec.recommender import Recommender
from llmrec.store import SCHEMA_VERSION, PersonSummary, Store
from tests.builders import SHOP, scoring_model, shopper, writing_model
from tests.profiles import profile_of

EVENTS = [Event.model_validate(event) for event in shopper("ana")]


@pytest.fixture
def profile() -> InterestProfile:
    with Recommender(scoring_model(), SHOP) as recommender:
        return recommender.profile(EVENTS)


def test_events_come_back_in_their_order_and_only_once(tmp_path: Path) -> None:
    store = Store(tmp_path / "deep" / "store.db")
    store.save_events(EVENTS[:5])
    store.save_events(EVENTS[3:])
    store.save_events([Event(user_id="bob", action="say", text="quiet 🎬 \u202e films", timestamp=None)])
    assert store.events("ana") == EVENTS
    store.close()
    again = Store(tmp_path / "deep" / "store.db")
    assert again.events("ana") == EVENTS
    assert again.events("bob")[0].text == "quiet 🎬 \u202e films"
    assert again.events("nobody") == []
    again.close()


def test_profiles_have_versions_and_equal_ones_are_one(tmp_path: Path, profile: InterestProfile) -> None:
    path = tmp_path / "store.db"
    store = Store(path)
    assert store.profile("xiaoyu") is None
    assert store.save_profile(profile) == 1
    later = profile.model_copy(update={"seconds": 99.0})
    assert store.save_profile(later) == 1, "how fast it was made is nothing it says"
    changed = profile.model_copy(update={"notes": ("another",)})
    assert store.save_profile(changed) == 2
    assert store.save_profile(profile) == 3, "the first one again is a new version"
    assert store.profile_versions("ana") == [1, 2, 3]
    store.close()
    again = Store(path)
    assert again.profile("ana", 1) == profile
    assert again.profile("ana", 2) == changed
    assert again.profile("ana") == profile
    assert again.profile("ana", 4) is None
    assert again.profile("ana").tree() == profile.tree()  # type: ignore[union-attr]
    again.close()


class TestKeepProfiles:
    def test_only_the_last_ones_stay_and_numbers_go_on(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "store.db", keep_profiles=3)
        versions = [store.save_profile(profile_of(EVENTS, notes=(str(number),))) for number in range(7)]
        assert versions == [1, 2, 3, 4, 5, 6, 7]
        assert store.profile_versions("ana") == [5, 6, 7]
        assert store.profile("ana", 4) is None
        assert [store.profile("ana", version).notes for version in (5, 6, 7)] == [("4",), ("5",), ("6",)]  # type: ignore[union-attr]
        assert store.save_profile(profile_of(EVENTS, notes=("6",))) == 7, "it says the same"
        assert store.profile_versions("ana") == [5, 6, 7]
        store.close()

    def test_those_of_others_are_not_counted(self) -> None:
        store = Store(keep_profiles=2)
        other = EVENTS[0].model_copy(update={"user_id": "bob"})
        for number in range(4):
            store.save_profile(profile_of(EVENTS, notes=(str(number),)))
            store.save_profile(profile_of([other], notes=(str(number),)))
        assert store.profile_versions("ana") == store.profile_versions("bob") == [3, 4]
        store.close()

    def test_twenty_stay_by_default(self) -> None:
        store = Store()
        for number in range(22):
            store.save_profile(profile_of(EVENTS[:1], notes=(str(number),)))
        assert store.profile_versions("ana") == list(range(3, 23))
        store.close()

    def test_none_is_no_choice(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="keep at least one"):
            Store(tmp_path / "store.db", keep_profiles=0)
        assert list(tmp_path.iterdir()) == []

    def test_what_went_is_overwritten(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "store.db", keep_profiles=1)
        store.save_profile(profile_of(EVENTS, notes=("a note of long ago",)))
        store.save_profile(profile_of(EVENTS, notes=("a note of today",)))
        store._file._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert store.file_traces(["a note of long ago"]) == []
        assert store.file_traces(["a note of today"]) == ["store.db"]
        store.close()


class TestLastProfiles:
    @pytest.fixture
    def store(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
        store = Store()
        for second, (person, note) in enumerate([("bob", "1"), ("小雨", "1"), ("ana", "1"), ("bob", "2")]):
            monkeypatch.setattr("time.time", lambda second=second: 1000.0 + second)
            event = EVENTS[0].model_copy(update={"user_id": person})
            store.save_profile(profile_of([event], notes=(note,)))
        store.save_events([Event(user_id="zoe", action="say", text="only a sentence")])
        yield store
        store.close()

    def test_one_a_person_those_saved_last_first(self, store: Store) -> None:
        found = [(profile.user_id, profile.notes) for profile in store.last_profiles()]
        assert found == [("bob", ("2",)), ("ana", ("1",)), ("小雨", ("1",))]

    def test_without_one_person_and_no_more_than_asked(self, store: Store) -> None:
        assert [profile.user_id for profile in store.last_profiles(but="bob")] == ["ana", "小雨"]
        assert [profile.user_id for profile in store.last_profiles("ana", 1)] == ["bob"]
        assert list(Store().last_profiles()) == []

    def test_a_person_forgotten_meanwhile_is_passed_over(self, store: Store) -> None:
        profiles = store.last_profiles()
        assert next(profiles).user_id == "bob"
        store.forget_person("ana")
        assert [profile.user_id for profile in profiles] == ["小雨"]

    def test_one_that_cannot_be_read_is_passed_over_with_a_warning(
        self, store: Store, caplog: pytest.LogCaptureFixture
    ) -> None:
        store._file._connection.execute("UPDATE profiles SET profile = '{}' WHERE user_id = 'ana'")
        assert [profile.user_id for profile in store.last_profiles()] == ["bob", "小雨"]
        (warning,) = [record for record in caplog.records if record.levelname == "WARNING"]
        assert "'ana' is passed over" in warning.getMessage()


def test_rankings_come_back(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    with Recommender(scoring_model(), SHOP, store=path) as recommender:
        profile = recommender.profile(EVENTS)
        rankings = [recommender.recommend(profile), recommender.recommend(profile, k=1)]
    store = Store(path)
    assert store.rankings("ana") == rankings
    assert store.rankings("nobody") == []
    assert store.people() == [PersonSummary(user_id="ana", events=len(EVENTS), profiles=1, rankings=2)]
    store.close()


def test_a_store_in_memory_forgets_when_it_is_closed() -> None:
    store = Store()
    store.save_events(EVENTS)
    assert store.events("ana") == EVENTS
    store.close()
    store.close()
    with pytest.raises(StoreError, match="memory"):
        store.events("ana")
    with pytest.raises(StoreError):
        store.save_events(EVENTS)


def test_the_same_question_reaches_the_model_once(tmp_path: Path) -> None:
    """Also from another Recommender with the same file, as long as the model is the same."""
    path = tmp_path / "store.db"
    spent = []
    models = [scoring_model(None, fingerprint="same") for _ in range(2)]
    for model in models:
        with Recommender(model, SHOP, store=path) as recommender:
            for _ in range(2):
                profile = recommender.profile(EVENTS)
                ranking = recommender.recommend(profile)
                spent.append((profile.usage, ranking.usage))
    assert spent[0][0].calls > 0
    assert spent[0][1].calls > 0
    for profile_usage, ranking_usage in spent[1:]:
        assert (profile_usage.calls, ranking_usage.calls) == (0, 0)
        assert profile_usage.prompt_tokens == ranking_usage.prompt_tokens == 0
        assert profile_usage.cached_calls > 0
        assert ranking_usage.cached_calls > 0
    assert models[1].history == []
    with Recommender(scoring_model(None, fingerprint="other"), SHOP, store=path) as recommender:
        assert recommender.profile(EVENTS).usage.calls == spent[0][0].calls


def test_the_same_written_answer_is_asked_for_once(tmp_path: Path) -> None:
    answer = {"interests": [{"path": ["Phones"], "events": [1, 2]}]}
    grades = {"grades": [{"item": number, "grade": number} for number in (1, 2, 3)]}
    supporting = [{"event": number, "steps": 1} for number in (1, 2)]
    check = {"claims": [{"claim": 1, "events": supporting}]}
    first = writing_model(answer, check, grades, fingerprint="same")
    second = writing_model(fingerprint="same")
    rankings = []
    for model in (first, second):
        with Recommender(model, SHOP, store=tmp_path / "store.db") as recommender:
            profile = recommender.profile(EVENTS)
            rankings.append(recommender.recommend(profile))
    assert [placed.item.id for placed in rankings[0]] == [placed.item.id for placed in rankings[1]]
    assert second.history == []


def test_another_template_is_another_question(tmp_path: Path) -> None:
    own = tmp_path / "prompts" / "interests" / "zh"
    own.mkdir(parents=True)
    (own / "label.jinja").write_text(
        '{% from "macros.jinja" import fence %}物品：{{ fence(title) }} {{ fence(description) }}'
        "{% for keyword in keywords %}{{ fence(keyword) }}{% endfor %}",
        encoding="utf-8",
    )
    prompts = []
    for options in ({}, {"prompts": tmp_path / "prompts"}):
        model = scoring_model(None, fingerprint="same")
        with Recommender(model, SHOP, store=tmp_path / "store.db", **options) as recommender:
            profile = recommender.profile(EVENTS)
        assert profile.usage.calls > 0
        prompts.append(profile.prompts["interests/label.zh"])
    assert prompts[0] != prompts[1]


def test_a_newer_schema_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE things (name TEXT)")
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="written by a newer llmrec: update llmrec"):
        Store(path)
    assert path.read_bytes() == before


def test_a_file_that_is_no_store_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    path.write_text("my diary, " * 1000)
    with pytest.raises(StoreError, match="cannot be used"):
        Store(path)
    with pytest.raises(StoreError):
        Recommender(scoring_model(), store=path)
    assert path.read_text() == "my diary, " * 1000


def test_a_damaged_store_is_an_error_and_not_a_crash(tmp_path: Path, profile: InterestProfile) -> None:
    path = tmp_path / "store.db"
    store = Store(path)
    for number in range(20):
        store.save_profile(profile.model_copy(update={"user_id": f"person {number}"}))
    store.close()
    content = bytearray(path.read_bytes())
    assert len(content) > 40_000
    for at in range(8_192, len(content) - 2_000, 4_096):
        content[at : at + 2_000] = b"\xff" * 2_000
    path.write_bytes(bytes(content))

    def read_everything() -> None:
        damaged = Store(path)
        try:
            for number in range(20):
                damaged.profile(f"person {number}")
            damaged.people()
        finally:
            damaged.close()

    with pytest.raises(StoreError):
        read_everything()


def test_a_record_of_another_version_is_named(tmp_path: Path, profile: InterestProfile) -> None:
    store = Store(tmp_path / "store.db")
    store.save_profile(profile)
    store._file._connection.execute("UPDATE profiles SET profile = '{\"mood\": 1}'")
    with pytest.raises(StoreError, match=r"InterestProfile\) that this llmrec cannot read"):
        store.profile("ana")
    store.close()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="this user may write everywhere")
def test_a_folder_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    with pytest.raises(StoreError, match="choose another file"):
        Store(folder / "store.db")


def test_a_path_where_no_file_can_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file" / "store.db", tmp_path):
        with pytest.raises(StoreError):
            Store(path)
        with pytest.raises(StoreError):
            Recommender(scoring_model(), store=path)


def test_a_store_given_open_stays_open() -> None:
    store = Store()
    with Recommender(scoring_model(), SHOP, store=store) as recommender:
        recommender.profile(EVENTS)
    assert store.profile_versions("ana") == [1]
    store.close()


def test_threads_may_share_a_store(tmp_path: Path, profile: InterestProfile) -> None:
    store = Store(tmp_path / "store.db", keep_profiles=100)
    faults: list[BaseException] = []

    def work(name: str) -> None:
        try:
            for number in range(20):
                store.save_events([EVENTS[number % len(EVENTS)].model_copy(update={"user_id": name})])
                store.save_profile(
                    profile.model_copy(update={"user_id": "shared", "notes": (f"{name} {number}",)})
                )
                store.events(name)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=work, args=(f"thread {number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert store.profile_versions("shared") == list(range(1, 81))
    assert {person.events for person in store.people() if person.user_id != "shared"} == {len(EVENTS)}
    store.close()


WRITER = """
import sys
from pathlib import Path
from llmrec.behavior.events import Event
from llmrec.llm.cache import CachedModel
from llmrec.store import Store
from tests.builders import scoring_model
name, path = sys.argv[1], Path(sys.argv[2])
for number in range(15):
    store = Store(path)
    store.save_events([Event(user_id="shared", action="say", text=f"{name} {number}")])
    CachedModel(scoring_model(fingerprint=name), store.model_calls).score(str(number), [" x"])
    store.close()
"""


def test_processes_may_share_a_file(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    root = Path(__file__).resolve().parents[2]
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, f"process {number}", str(path)],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(2)
    ]
    for writer in writers:
        _, told = writer.communicate(timeout=120)
        assert writer.returncode == 0, told
    store = Store(path)
    texts = [event.text for event in store.events("shared")]
    assert sorted(texts) == sorted(f"process {who} {number}" for who in range(2) for number in range(15))
    assert len(store.model_calls) == 30
    own = [text for text in texts if text is not None and text.startswith("process 0")]
    assert own == [f"process 0 {number}" for number in range(15)]
    store.close()


def test_two_recommenders_on_one_file_see_each_others_people(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    first: Any = Recommender(scoring_model(), SHOP, store=path)
    second: Any = Recommender(scoring_model(), SHOP, store=path)
    first.profile(shopper("ana"))
    second.profile(shopper("bob"))
    assert [person.user_id for person in first.store.people()] == ["ana", "bob"]
    assert second.store.profile("ana") == first.store.profile("ana")
    first.close()
    second.close()


def test_a_ranking_from_an_old_profile_does_not_make_it_the_current_one() -> None:
    with Recommender(scoring_model(), SHOP, store=Store()) as recommender:
        old = recommender.profile(EVENTS[:1])
        new = recommender.profile(EVENTS)
        recommender.recommend(old, k=1)
        assert recommender.store.profile_versions("ana") == [1, 2]
        current = recommender.store.profile("ana")
        assert current is not None
        assert current.entries == new.entries
        recommender.store.close()


def test_an_event_with_a_known_id_and_other_contents_takes_its_place_with_a_note() -> None:
    first = Event(user_id="ana", id="1", action="like", item_id=EVENTS[0].item_id, text="a film")
    second = Event(user_id="ana", id="1", action="say", text="something else")
    with Recommender(scoring_model(), SHOP, store=Store()) as recommender:
        recommender.profile([first])
        profile = recommender.profile([second])
        assert recommender.store.events("ana") == [second]
        assert any("share an id with other events" in note for note in profile.notes)
        recommender.store.close()


def test_a_copy_with_other_interests_finds_those(profile: InterestProfile) -> None:
    hierarchy = profile.hierarchy
    some = hierarchy.interests[0]
    assert some.id in hierarchy
    assert hierarchy.children()
    empty = hierarchy.model_copy(update={"interests": ()})
    assert some.id not in empty
    assert empty.children() == []
