"""Forgetting: what was deleted is nowhere, what others did stays, and no interruption leaves a half."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.behavior.events import Event, Item
from llmrec.errors import StoreError
from llmrec.interests.profile import InterestProfile
from llmrec.llm.cache import naming_person
from llmrec.ranking.types import Contribution, RankedItem, Ranking, RankingEvidence
from llmrec.store import Store
from llmrec.store.forgetting import MOST_SEARCHED, Forgotten, some_of
from tests.profiles import profile_of

ROOT = Path(__file__).resolve().parents[2]
ENDS_WITHIN = 120.0

QUIET = Event(user_id="ana", action="say", text='I like "quiet" films for a rainy evening')
RAINY = Event(user_id="ana", action="search", text="雨夜里看的安静电影推荐")
LIKED = Event(user_id="ana", action="rate", item_id="stalker-1979", value=5)
BOB = Event(user_id="bob", action="say", text="loud films for a sunny morning")
# The same words, of somebody else.
ECHO = Event(user_id="bob", action="search", text="雨夜里看的安静电影推荐")


def ranking(user_id: str = "ana", item_id: str = "solaris-1972", *event_ids: str, why: str = "") -> Ranking:
    evidence = RankingEvidence(events=tuple(Contribution(id=each, amount=1.0) for each in event_ids))
    item = Item(id=item_id, title="A film")
    placed = RankedItem(rank=1, item=item, score=1.0, signals={}, evidence=evidence, why=why)
    return Ranking(user_id=user_id, items=(placed,), candidates=1, model="m")


def answer(store: Store, person: str, key: str, text: str = "{}") -> None:
    with naming_person(person):
        store.model_calls.store({key: text}, kind="generate", model="m")


@pytest.fixture(params=["file", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store.db" if request.param == "file" else None)
    yield store
    store.close()


def fill(store: Store) -> dict[str, int]:
    """Two people; the versions of ana's profile by what they hold."""
    store.save_events([QUIET, RAINY, LIKED, BOB, ECHO])
    versions = {
        "quiet": store.save_profile(profile_of([QUIET])),
        "quiet and rainy": store.save_profile(profile_of([QUIET, RAINY])),
        "all": store.save_profile(profile_of([QUIET, RAINY, LIKED])),
        "bob": store.save_profile(profile_of([BOB, ECHO])),
    }
    for name, version in versions.items():
        store.save_ranking(ranking("bob" if name == "bob" else "ana"), version)
    answer(store, "ana", "ana's", json.dumps({"text": json.dumps({"label": RAINY.text})}))
    answer(store, "ana", "shared")
    answer(store, "bob", "shared")
    answer(store, "bob", "bob's")
    answer(store, "", "neutral")
    return versions


class TestForgetEvents:
    def test_all_that_was_made_of_an_event_goes(self, store: Store) -> None:
        versions = fill(store)
        forgotten = store.forget_events("ana", [RAINY.id])
        assert forgotten == Forgotten(events=1, profiles=2, rankings=2, answers=1, vacuumed=True)
        assert store.events("ana") == [QUIET, LIKED]
        assert store.profile_versions("ana") == [versions["quiet"]]
        assert len(store.rankings("ana")) == 1
        assert set(store.model_calls.find(["ana's", "shared", "bob's", "neutral"])) == {
            "shared",
            "bob's",
            "neutral",
        }
        assert store.traces("ana", [RAINY.id, str(RAINY.text)]) == []

    def test_what_others_did_stays(self, store: Store) -> None:
        versions = fill(store)
        store.forget_events("ana", [QUIET.id, RAINY.id, LIKED.id, BOB.id])
        assert store.events("bob") == [BOB, ECHO]
        assert store.profile("bob", versions["bob"]) is not None
        assert len(store.rankings("bob")) == 1
        assert store.events("ana") == []
        assert store.profile_versions("ana") == []

    def test_no_version_gets_a_number_again(self, store: Store) -> None:
        fill(store)
        store.forget_events("ana", [QUIET.id])
        assert store.profile_versions("ana") == []
        assert store.save_profile(profile_of([LIKED])) == 4

    def test_a_ranking_that_names_the_event_goes_though_its_profile_does_not(self, store: Store) -> None:
        store.save_events([QUIET, LIKED])
        version = store.save_profile(profile_of([LIKED]))
        kept = ranking("ana", "solaris-1972", LIKED.id)
        for each in (kept, ranking("ana", "solaris-1972", QUIET.id)):
            store.save_ranking(each, version)
        assert store.forget_events("ana", [QUIET.id]).rankings == 1
        assert store.rankings("ana") == [kept]

    def test_a_ranking_of_a_version_that_is_no_longer_there_goes(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "store.db", keep_profiles=1)
        store.save_events([QUIET, LIKED])
        store.save_ranking(ranking(why="since you like quiet films"), store.save_profile(profile_of([QUIET])))
        store.save_profile(profile_of([LIKED]))
        assert store.forget_events("ana", [QUIET.id]) == Forgotten(events=1, rankings=1, vacuumed=True)
        store.close()

    @pytest.mark.parametrize(
        "change",
        [
            {"notes": (f"a note about {'x' * 99}", QUIET.id)},
            {"prompts": {QUIET.id: "p"}},
        ],
    )
    def test_wherever_in_a_profile_its_id_stands(self, store: Store, change: dict[str, Any]) -> None:
        store.save_events([QUIET, LIKED])
        store.save_profile(profile_of([LIKED]))
        store.save_profile(profile_of([LIKED], **change))
        assert store.forget_events("ana", [QUIET.id]).profiles == 1
        assert store.profile_versions("ana") == [1]

    def test_short_ids_are_not_taken_for_items_or_people(self, store: Store) -> None:
        """Ids from a file may be small numbers, and items may have the same."""
        first = Event(user_id="7", id="1", action="rate", item_id="2", value=5)
        second = Event(user_id="7", id="2", action="say", text="quiet films")
        third = Event(user_id="7", id="7", action="say", text="loud films")
        store.save_events([first, second, third])
        profile = profile_of([first], items=[{"id": "2", "title": "2", "categories": ["2", "7"]}])
        store.save_ranking(ranking("7", "2"), store.save_profile(profile))
        assert store.forget_events("7", ["2", "7"]) == Forgotten(events=2, vacuumed=True)
        assert store.profile("7") == profile
        assert len(store.rankings("7")) == 1
        assert store.forget_events("7", ["1"]).profiles == 1

    def test_what_another_event_says_too_is_no_trace(self, store: Store) -> None:
        again = RAINY.model_copy(update={"id": "said once more"})
        store.save_events([RAINY, again])
        store.save_profile(profile_of([again]))
        assert store.forget_events("ana", [RAINY.id]).traces == ()

    def test_an_item_that_was_recommended_before_is_no_trace(self, store: Store) -> None:
        store.save_events([QUIET, LIKED])
        store.save_ranking(ranking("ana", str(LIKED.item_id)), store.save_profile(profile_of([QUIET])))
        assert store.forget_events("ana", [LIKED.id]) == Forgotten(events=1, vacuumed=True)
        assert len(store.rankings("ana")) == 1

    def test_what_is_left_is_told(self, store: Store) -> None:
        """Words in a profile that does not say which event they are from."""
        store.save_events([QUIET, LIKED])
        store.save_profile(profile_of([LIKED], notes=(f"asked about: {QUIET.text}",)))
        store.save_profile(profile_of([LIKED], notes=(f"of the item {LIKED.item_id}", str(LIKED.item_id))))
        assert store.forget_events("ana", [QUIET.id]).traces == ("profiles",)
        store.save_events([QUIET])
        store.save_profile(profile_of([QUIET], notes=("the film", str(LIKED.item_id))))
        assert store.forget_events("ana", [LIKED.id]).traces == ("profiles",)

    def test_ids_that_nobody_knows_and_none_at_all(self, store: Store) -> None:
        fill(store)
        assert store.forget_events("ana", []) == Forgotten()
        assert len(store.model_calls.answers_of("ana")) == 2
        assert store.forget_events("ana", ["never", "seen"]).events == 0
        assert store.events("ana") == [QUIET, RAINY, LIKED]
        assert len(store.profile_versions("ana")) == 3

    def test_more_events_than_one_statement_takes(self, store: Store) -> None:
        events = [Event(user_id="ana", action="say", text=f"a sentence, number {n}") for n in range(1200)]
        store.save_events(events)
        store.save_profile(profile_of(events[:3]))
        forgotten = store.forget_events("ana", [event.id for event in events[:1100]])
        assert (forgotten.events, forgotten.profiles, forgotten.traces) == (1100, 1, ())
        assert store.events("ana") == events[1100:]

    @given(
        st.lists(st.sets(st.integers(0, 4), min_size=1), max_size=5),
        st.sets(st.integers(0, 5), min_size=1),
    )
    def test_the_versions_without_any_of_them_stay(self, versions: list[set[int]], ids: set[int]) -> None:
        events = [Event(user_id="ana", action="say", text=f"sentence {n}", id=f"e{n}") for n in range(5)]
        store = Store()
        store.save_events(events)
        saved = [
            (store.save_profile(profile_of([events[n] for n in sorted(held)], notes=(str(at),))), held)
            for at, held in enumerate(versions)
        ]
        forgotten = store.forget_events("ana", [f"e{n}" for n in ids])
        assert store.profile_versions("ana") == [version for version, held in saved if not held & ids]
        assert forgotten.events == len(ids - {5})
        assert forgotten.traces == ()
        store.close()


class TestForgetPerson:
    def test_nothing_of_the_person_is_left(self, store: Store) -> None:
        fill(store)
        forgotten = store.forget_person("ana")
        assert forgotten == Forgotten(events=3, profiles=3, rankings=3, answers=1, vacuumed=True)
        assert store.traces("ana", ["ana", QUIET.id]) == []
        assert [person.user_id for person in store.people()] == ["bob"]
        assert [profile.user_id for profile in store.last_profiles()] == ["bob"]
        assert len(store.model_calls) == 3
        assert store.save_profile(profile_of([QUIET])) == 1, "as somebody never seen"

    def test_answers_of_nobody_go_where_that_is_asked_for(self, store: Store) -> None:
        fill(store)
        assert store.forget_person("ana", unattributed=True).answers == 2
        assert set(store.model_calls.find(["shared", "bob's", "neutral"])) == {"shared", "bob's"}

    def test_somebody_never_seen(self, store: Store) -> None:
        fill(store)
        assert store.forget_person("nobody") == Forgotten(vacuumed=True)
        assert len(store.events("ana")) == 3

    def test_a_closed_store(self, store: Store) -> None:
        store.close()
        with pytest.raises(StoreError):
            store.forget_person("ana")
        with pytest.raises(StoreError):
            store.forget_events("ana", ["e1"])


class TestBytes:
    """What the file itself holds afterwards, whatever its tables say."""

    def test_nothing_is_left_in_the_files_while_they_are_open_and_closed(self, tmp_path: Path) -> None:
        store = Store(tmp_path / "store.db")
        fill(store)
        said = [QUIET.id, RAINY.id, LIKED.id, "for a rainy evening"]
        assert store.file_traces(said) != []
        assert store.forget_person("ana").traces == ()
        assert store.file_traces([*said, "ana's"]) == []
        assert store.file_traces([str(ECHO.text)]) == ["store.db"], "bob said it too"
        assert store.file_traces([str(BOB.text)]) == ["store.db"]
        store.close()
        everything = b"".join(path.read_bytes() for path in tmp_path.iterdir())
        assert b"ana" not in everything
        assert b"sunny morning" in everything

    def test_what_a_file_held_before_anything_was_overwritten(self, tmp_path: Path) -> None:
        """As an older llmrec left it: rows deleted, their bytes still there."""
        path = tmp_path / "store.db"
        store = Store(path)
        store.save_events([QUIET, LIKED])
        store.close()
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("DELETE FROM events WHERE event_id = ?", (QUIET.id,))
        connection.close()
        store = Store(path)
        assert store.file_traces([QUIET.id]) == ["store.db"]
        assert store.forget_person("ana").vacuumed
        assert store.file_traces([QUIET.id]) == []
        store.close()

    def test_a_file_that_another_reads_tells_what_is_left_and_is_done_later(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("llmrec.store.file.REWRITING_WAITS", 0.05)
        store = Store(tmp_path / "store.db")
        fill(store)
        reader = sqlite3.connect(tmp_path / "store.db", isolation_level=None)
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM events").fetchone() == (5,)
        forgotten = store.forget_person("ana")
        assert (forgotten.events, forgotten.vacuumed) == (3, False)
        assert "store.db-wal" in forgotten.traces
        assert store.events("ana") == []
        reader.close()
        assert store.forget_person("ana") == Forgotten(vacuumed=True)
        assert store.file_traces([QUIET.id, LIKED.id]) == []
        store.close()

    def test_one_that_cannot_be_searched_says_so(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        store = Store(tmp_path / "store.db")
        fill(store)
        monkeypatch.setattr("sys.executable", "")
        forgotten = store.forget_person("ana")
        assert (forgotten.events, forgotten.traces) == (3, ("store.db (not searched)",))
        assert "cannot be searched" in caplog.text
        store.close()

    def test_a_file_that_cannot_be_written_anew_is_no_failure(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = Store(tmp_path / "store.db")
        fill(store)
        store._file._connection.set_authorizer(
            lambda action, *_: sqlite3.SQLITE_DENY if action == 24 else sqlite3.SQLITE_OK
        )
        forgotten = store.forget_person("ana")
        assert (forgotten.events, forgotten.vacuumed) == (3, False)
        store.close()


@pytest.mark.parametrize("count", [0, 1, MOST_SEARCHED, MOST_SEARCHED + 1, 1000])
def test_so_many_texts_are_searched_for_and_from_all_alike(count: int) -> None:
    texts = [f"long text {number}" for number in range(count)]
    some = some_of([*texts, "short"])
    assert len(some) == min(count, len(some)) <= MOST_SEARCHED
    assert some[:1] == texts[:1]
    assert count <= MOST_SEARCHED or len(some) > MOST_SEARCHED // 2
    assert set(some) <= set(texts)


PRELUDE = """
import sys, time
from pathlib import Path
from llmrec.store import file as store_file
from llmrec.store import forgetting
from llmrec.llm.cache import naming_person
from llmrec.store import Store
from tests.profiles import profile_of
from tests.store.test_forgetting import BOB, LIKED, QUIET, answer, fill, ranking

store = Store(Path(sys.argv[1]))

def wait(*arguments, **options):
    print("now", flush=True)
    time.sleep(60)
"""

# Where the process is killed, and whether what was to be forgotten is still there then.
KILLED_AT = {
    "between the deletions": ("store_file.StoreFile.forget_answers = wait", True),
    "before the file is written anew": ("store_file.StoreFile.rewrite = wait", False),
    "before the file is searched": ("forgetting.texts_in_files = wait", False),
}


def start(program: str, path: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PRELUDE + program, str(path), *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate(timeout=ENDS_WITHIN)


class TestKilled:
    @pytest.mark.parametrize("where", KILLED_AT)
    def test_all_of_it_is_forgotten_or_nothing(self, tmp_path: Path, where: str) -> None:
        path = tmp_path / "store.db"
        store = Store(path)
        fill(store)
        patch, stays = KILLED_AT[where]
        process = start(f"{patch}\nstore.forget_person('ana')\n", path)
        assert process.stdout is not None
        told = process.stdout.readline()
        kill(process)
        assert told == "now\n"
        assert len(store.events("ana")) == len(store.profile_versions("ana")) == (3 if stays else 0)
        assert len(store.model_calls.answers_of("ana")) == (2 if stays else 0)
        assert len(store.rankings("ana")) == (3 if stays else 0)
        assert store.forget_person("ana").vacuumed
        assert store.file_traces([QUIET.id, LIKED.id]) == []
        assert store.events("bob") == [BOB, ECHO]
        store.close()

    @pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no such signal")
    def test_at_any_moment_the_store_stays_readable_and_whole(self, tmp_path: Path) -> None:
        path = tmp_path / "store.db"
        generator = random.Random(7)
        program = "print('now', flush=True)\nwhile True:\n    fill(store)\n    store.forget_person('ana')\n"
        for _ in range(4):
            process = start(program, path)
            assert process.stdout is not None
            assert process.stdout.readline() == "now\n"
            time.sleep(generator.uniform(0.02, 0.4))
            kill(process)
            store = Store(path)
            check = store._file._connection.execute("PRAGMA integrity_check").fetchone()
            assert check == ("ok",)
            events = store.events("ana")
            assert events in ([], [QUIET, RAINY, LIKED])
            if not events:
                assert store.traces("ana", ["ana"]) == []
            store.close()


def test_two_processes_save_and_forget_at_once(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    program = """
name = sys.argv[2]
mine = QUIET.model_copy(update={"user_id": name})
for number in range(6):
    store.save_events([mine, BOB])
    version = store.save_profile(profile_of([mine], notes=(str(number),)))
    store.save_ranking(ranking(name), version)
    answer(store, name, f"{name} {number}")
    forgotten = store.forget_person(name) if number % 2 else store.forget_events(name, [mine.id])
    assert forgotten.events == 1 and forgotten.profiles == 1 and forgotten.answers == 1, forgotten
    assert not set(forgotten.traces) & {"events", "profiles", "rankings", "model_calls"}, forgotten
store.close()
"""
    processes = [start(program, path, name) for name in ("one", "two")]
    for process in processes:
        _, told = process.communicate(timeout=ENDS_WITHIN)
        assert process.returncode == 0, told[-3000:]
    store = Store(path)
    assert store.events("bob") == [BOB]
    assert [person.user_id for person in store.people()] == ["bob"]
    assert len(store.model_calls) == 0
    assert store.forget_person("one") == store.forget_person("two") == Forgotten(vacuumed=True)
    assert isinstance(store.save_profile(profile_of([BOB])), int)
    assert isinstance(store.profile("bob"), InterestProfile)
    store.close()
