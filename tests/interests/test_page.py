"""The page: what it shows, that nothing in it is anything but text, and that it works in a browser."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from llmrec.interests.anticipation import PredictedInterest
from llmrec.interests.edits import Pin, Remove
from llmrec.interests.hierarchy import Ending
from llmrec.interests.page import page_words, to_page
from llmrec.interests.profile import InterestProfile
from tests.interests.made_profiles import HOSTILE, film_lover, hostile_profile, made_profile

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
VOID = {"meta", "input", "rect", "br", "hr", "link", "img"}


class Page(HTMLParser):
    """What an HTML parser makes of a page."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self._seen: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        self.texts.setdefault(inside, []).append(data)
        if inside not in ("script", "style", "title"):
            self._seen.append(data)

    @property
    def words(self) -> str:
        """All text that a reader sees before any script runs."""
        return " ".join("".join(self._seen).split())

    @property
    def data(self) -> Any:
        return json.loads(self.texts["script"][0])


def wide_profile(events: int = 2000) -> InterestProfile:
    """Many events on few interests."""
    return made_profile(
        [{"item_id": f"i{at}", "action": "view"} for at in range(events)],
        [[f"films/kind{at % 5}"] for at in range(events)],
        items=[{"id": f"i{at}", "title": f"Film {at}"} for at in range(events)],
    )


def test_each_interest_stands_in_the_tree_with_its_numbers() -> None:
    profile = film_lover()
    page = Page(to_page(profile))
    assert sum((attributes.get("class") or "").startswith("interest") for _, attributes in page.tags) == 5
    for found in profile.interests:
        sign = "−" if found.polarity == "negative" else ""
        assert f"{sign}{found.weight:.2f}" in page.words
        assert found.label in page.words
    assert "5 events" in page.words
    assert "Also belongs to: Books" in page.words
    bars = [
        float(attributes["width"] or 0) for _, attributes in page.tags if attributes.get("class") == "fill"
    ]
    heaviest = max(found.weight for found in profile.interests)
    assert bars == [pytest.approx(100 * i.weight / heaviest, abs=0.06) for i in profile.hierarchy.walk()]


def test_each_event_is_in_the_data_once_and_named_by_its_interests() -> None:
    profile = film_lover()
    data = Page(to_page(profile)).data
    assert [event["title"] for event in data["events"]] == [
        "Alien", "Ring", "“quiet science fiction”", "Solaris", "unknown"
    ]  # fmt: skip
    assert data["events"][0]["did"] == "rated 5"
    assert data["events"][0]["date"] == "2025-06-15"
    assert data["events"][0]["time"] == "2025-06-15 15:06 UTC"
    assert "against" not in data["events"][0]
    assert data["events"][1]["against"] is True
    for at, found in enumerate(profile.hierarchy.walk()):
        ids = [profile.entries[place].event.id for place, _ in data["lists"][str(at)]]
        assert ids == [evidence.event_id for evidence in reversed(found.evidence)]
        assert {share for _, share in data["lists"][str(at)]} == {"90%"}
    assert data["lists"]["unlabelled"] == [[4]]


def test_tiers_horizons_pins_and_endings_are_tags() -> None:
    profile = film_lover().edited(Pin(interest="books/scifi"))
    ended = Ending(event_id=profile.entries[1].event.id, timestamp=1.75e9, weight=0.25)
    hierarchy = profile.hierarchy.model_copy(
        update={
            "interests": tuple(
                i.model_copy(update={"ended": ended}) if i.id == "films/horror" else i
                for i in profile.interests
            )
        }
    )
    page = Page(to_page(profile.model_copy(update={"hierarchy": hierarchy})))
    tags = [
        attributes["class"]
        for _, attributes in page.tags
        if (attributes.get("class") or "").startswith("tag ")
    ]
    assert tags.count("tag pinned") == 1
    assert tags.count("tag ended") == 1
    assert tags.count("tag core") == sum(i.tier == "core" for i in hierarchy.interests)
    assert "Ended on 2025-06-15; it weighed 0.25 in the long term." in page.words


def test_predicted_and_suppressed_interests_stand_apart() -> None:
    profile = film_lover().edited(Remove(interest="books/scifi"))
    profile = profile.model_copy(update={"predicted": film_lover().predicted})
    page = Page(to_page(profile))
    assert "Predicted, not shown yet" in page.words
    assert "Films › Space opera predicted" in page.words
    assert "Inferred from: Films › Scifi · score 0.40 · near in the vocabulary · the model" in page.words
    assert "2 people with like interests" in page.words
    assert "Books › Scifi removed by the person" in page.words
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    ids = {attributes.get("id") for _, attributes in page.tags}
    assert links
    assert all(link and link.removeprefix("#") in ids for link in links)
    nothing = Page(to_page(made_profile([{"text": "x", "action": "say"}], [["a"]])))
    assert "Predicted" not in nothing.words
    assert "Suppressed" not in nothing.words


def test_the_page_speaks_the_language_of_the_profile() -> None:
    profile = made_profile(
        [{"text": "格力空调", "action": "search"}],
        [["jd"]],
        names={"jd": "家电"},
        user_id="小雨",
        language="zh",
    )
    page = Page(to_page(profile))
    assert ("html", {"lang": "zh-CN"}) in page.tags
    assert "小雨 的兴趣" in page.words
    assert "1 个事件" in page.words
    assert page.data["events"][0]["did"] == "搜索"
    assert not re.search(r"[a-z]{3,}", page.words.replace("JavaScript", ""))


def test_both_languages_have_the_same_words() -> None:
    english, chinese = page_words("en"), page_words("zh")
    plural = {name for name in english if name.endswith("_one")}
    assert set(english) - plural == set(chinese)
    assert set(english["actions"]) == set(chinese["actions"])
    for name in chinese:
        fields = [set(re.findall(r"\{(\w+)\}", str(words[name]))) for words in (english, chinese)]
        assert fields[0] == fields[1], name


def test_a_profile_of_nothing_has_a_page() -> None:
    page = Page(to_page(made_profile([], [])))
    assert "No interests were found." in page.words
    assert "0 events 0 interests" in page.words


def test_the_page_loads_nothing_and_allows_only_its_own_style_and_script() -> None:
    html = to_page(film_lover())
    page = Page(html)
    policy = next(
        a["content"] or "" for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for text in (page.texts["style"][0], page.texts["script"][1]):
        assert f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'" in policy
    assert not re.search(r"https?://|url\(|@import", html)
    for tag, attributes in page.tags:
        assert tag not in ("link", "img", "iframe", "object", "form")
        assert "style" not in attributes
        assert not any(name.startswith("on") for name in attributes)
        assert "src" not in attributes


def test_hostile_texts_stay_texts() -> None:
    """The page of hostile texts has the tags of the same page with plain ones."""
    plain = film_lover().model_copy(update={"notes": ("a note",)})
    hostile = Page(to_page(hostile_profile()))
    assert [tag for tag, _ in hostile.tags].count("script") == 2
    assert {tag for tag, _ in hostile.tags} == {tag for tag, _ in Page(to_page(plain)).tags}
    assert "</script><script>alert(1)</script> below" in hostile.words
    assert "{{ 7*7 }} {% raw %}" in hostile.words
    titles = {event["title"] for event in hostile.data["events"]}
    assert "<img src=x onerror=alert(1)>" in titles
    html = to_page(hostile_profile())
    assert "\u202e" not in html
    assert "\x00" not in html
    assert html.count("</script>") == 2


def test_thousands_of_events_are_told_once() -> None:
    profile = wide_profile()
    html = to_page(profile)
    assert html.count('"title":"Film 77"') == 1
    assert len(html) < 400_000


@pytest.fixture(scope="module")
def browser() -> str:
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("there is no chromium to look at the page with")
    return found


def seen(browser: str, folder: Path, profile: InterestProfile, fragment: str = "") -> str:
    """The page as a browser has it after its script ran."""
    path = folder / "page.html"
    path.write_text(to_page(profile), "utf-8")
    done = subprocess.run(
        [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'browser'}",
         "--enable-logging=stderr", "--virtual-time-budget=3000", "--dump-dom", path.as_uri() + fragment],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Content Security Policy" not in done.stderr
    assert "Uncaught" not in done.stderr
    return done.stdout


def test_in_a_browser_lists_are_made_when_opened(browser: str, tmp_path: Path) -> None:
    profile = film_lover()
    at = next(n for n, i in enumerate(profile.hierarchy.walk()) if i.id == "films/scifi")
    assert "<table" not in seen(browser, tmp_path, profile)
    opened = seen(browser, tmp_path, profile, f"#i{at}")
    rows = re.findall(r'<tr><td class="when"[^>]*>(.*?)</td>.*?<bdi>(.*?)</bdi>', opened)
    assert rows == [("2025-06-17", "“quiet science fiction”"), ("2025-06-15", "Alien")]


def test_in_a_browser_long_lists_come_in_parts(browser: str, tmp_path: Path) -> None:
    opened = seen(browser, tmp_path, wide_profile(600), "#i1")
    assert opened.count('<td class="when"') == 50
    assert ">Show 50 more</button>" in opened


def test_in_a_browser_hostile_texts_stay_texts(browser: str, tmp_path: Path) -> None:
    opened = seen(browser, tmp_path, hostile_profile(), "#i1")
    assert opened.count("<script") == 2
    assert "<img" not in opened
    assert opened.count('<td class="when"') == 2


def test_the_hostile_texts_are_all_there() -> None:
    page = Page(to_page(hostile_profile()))
    assert len(page.data["events"]) == 2 * len(HOSTILE)


def test_a_prediction_that_was_shown_since_is_left_out() -> None:
    profile = film_lover()
    shown = PredictedInterest(id="films/horror", path=("Films", "Horror"), score=1.0)
    assert "Predicted" not in Page(to_page(profile.model_copy(update={"predicted": (shown,)}))).words
