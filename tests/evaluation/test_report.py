"""The report as a page: complete, alone, and safe to open whatever the names."""

from __future__ import annotations

import importlib.util
import itertools
import re
from html.parser import HTMLParser

import pytest

from llmrec.evaluation.report import html_report
from llmrec.evaluation.types import EvaluationResult, Interval
from tests.evaluation.results import SYSTEMS, sample_result

HOSTILE = '</title><script>alert("$x")</script><img src=x onerror=alert(1)>\u202e{{ 7*7 }}'


class Page(HTMLParser):
    """The elements of a page with their attributes, and the visible text."""

    VOID = ("meta", "wbr", "br", "img", "input", "link")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.unclosed: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.unclosed.append(tag)

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text += data


@pytest.fixture(scope="module")
def result() -> EvaluationResult:
    return sample_result(people=120, draws=100)


@pytest.fixture(scope="module")
def page(result: EvaluationResult) -> Page:
    return Page(html_report(result))


def small(**changes: object) -> EvaluationResult:
    one = Interval(mean=0.5, low=0.4, high=0.6, people=40)
    fields: dict[str, object] = {
        "dataset": "films",
        "fingerprint": "f",
        "protocol": {},
        "people": 40,
        "items": 100,
        "candidates_per_query": 20,
        "chance": {"ndcg@10": 0.227},
        "systems": [
            {
                "name": "bm25",
                "metrics": {"ndcg@10": one},
                "seconds_per_query": 0.001,
                "tokens_per_query": 0,
                "failures": 0,
                "is_baseline": True,
            }
        ],
        "comparisons": [],
    }
    return EvaluationResult.model_validate(fields | changes)


def test_a_cold_start_has_its_table(result: EvaluationResult) -> None:
    cold = tuple(band.model_copy(update={"label": f"first {at}"}) for at, band in enumerate(result.bands))
    with_it = html_report(result.model_copy(update={"cold_start": cold}))
    assert "Cold start" in with_it
    assert "with only so many of their last events shown" in with_it
    assert all(f"first {at}" in with_it for at in range(len(cold)))
    assert "Cold start" not in html_report(result)


def test_everything_of_the_result_is_told(page: Page, result: EvaluationResult) -> None:
    told = " ".join(page.text.split())
    for name, *_ in SYSTEMS:
        assert name in told
    for section in ("Systems", "Metrics", "By length of history", "Probes", "What is recommended"):
        assert section in told
    for probe in result.probes:
        assert probe.verdict in told
    for note in result.notes:
        assert note in told
    assert result.command in told
    assert result.settings["weights"] in told
    assert result.fingerprint in told
    best = result.systems[5].metrics["ndcg@10"]
    assert f"{100 * best.mean:.1f}" in told
    assert f"{100 * best.low:.1f} to {100 * best.high:.1f}" in told
    assert f"{100 * result.chance['ndcg@10']:.1f}" in told
    assert f"{result.reliability[0].calibration_error:.4f}" in told
    assert "query likelihood 3" in told, "failures are told"


def test_baselines_beaten_are_counted_from_the_intervals(result: EvaluationResult, page: Page) -> None:
    told = [one for one in result.comparisons if one.system == "likelihood ratio"]
    beaten = sum(one.difference.low > 0 for one in told)
    assert 0 < beaten < len(told) == 5
    row = re.search(r"likelihood ratio(.*?)query likelihood", " ".join(page.text.split()))
    assert row is not None
    assert f"{beaten} of 5" in row[1]
    assert page.text.count("▲") - 1 == sum(one.difference.low > 0 for one in result.comparisons)
    assert page.text.count("▼") - 1 == sum(one.difference.high < 0 for one in result.comparisons)


def test_the_page_needs_nothing_else_and_runs_nothing(page: Page) -> None:
    assert page.unclosed == []
    assert page.open == []
    for tag, attributes in page.elements:
        assert tag not in ("script", "link", "img", "iframe", "object", "base", "form")
        assert not {"src", "style", "srcset", "action"} & set(attributes)
        assert not any(name.startswith("on") for name in attributes)
        href = attributes.get("href") or attributes.get("xlink:href") or "#"
        assert href.startswith("#")
    policy = next(a["content"] for t, a in page.elements if t == "meta" and "http-equiv" in a)
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy


def test_tables_have_captions_and_heads_and_ids_are_unique(page: Page) -> None:
    tags = [tag for tag, _ in page.elements]
    assert tags.count("table") == tags.count("caption") == tags.count("thead") > 5
    assert all("scope" in attributes for tag, attributes in page.elements if tag == "th")
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    labelled = {a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a}
    assert labelled <= set(ids)
    levels = [int(tag[1]) for tag in tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))


def test_plots_say_in_words_what_they_show(page: Page) -> None:
    pytest.importorskip("matplotlib")
    plots = [a for tag, a in page.elements if tag == "svg" and a.get("class") == "plot"]
    # With one target a query, MAP and recall are MRR and hit rate: four kinds; price and bands twice.
    assert len(plots) == 4 + 2 + 2 + 1
    assert all(a.get("role") == "img" and "llmrec" in (a.get("aria-label") or "") for a in plots)


def test_equal_results_give_equal_pages(result: EvaluationResult) -> None:
    assert html_report(result) == html_report(EvaluationResult.model_validate_json(result.model_dump_json()))


def test_hostile_names_are_text() -> None:
    hostile = small(
        dataset=HOSTILE,
        fingerprint=HOSTILE,
        command=HOSTILE,
        notes=[HOSTILE],
        settings={HOSTILE: HOSTILE},
        systems=[
            {
                "name": HOSTILE + kind,
                "metrics": {
                    "ndcg@10": {"mean": 0.5, "low": 0.4, "high": 0.6, "people": 40},
                    HOSTILE: {"mean": 0.5, "low": 0.4, "high": 0.6, "people": 40},
                },
                "seconds_per_query": 0.1,
                "tokens_per_query": 1,
                "failures": 1,
                "is_baseline": kind == "b",
            }
            for kind in "ab"
        ],
        bands=[
            {
                "label": HOSTILE,
                "people": 4,
                "metrics": {HOSTILE + "a": {"ndcg@10": {"mean": 0.5, "low": 0.4, "high": 0.6, "people": 4}}},
            }
        ]
        * 2,
        comparisons=[
            {
                "metric": "ndcg@10",
                "system": HOSTILE + "a",
                "baseline": HOSTILE + "b",
                "difference": {"mean": 0.1, "low": -0.1, "high": 0.2, "people": 40},
            }
        ],
    )
    written = html_report(hostile)
    page = Page(written)
    assert page.unclosed == page.open == []
    assert not {"script", "img"} & {tag for tag, _ in page.elements}
    assert "\u202e" not in written
    assert "{{ 7*7 }}" in page.text


def test_the_smallest_result_has_a_page() -> None:
    page = Page(html_report(small()))
    told = " ".join(page.text.split())
    assert "bm25 reaches NDCG@10 50.0 (40.0 to 60.0)." in told
    for absent in ("Probes", "By length of history", "Calibration of probabilities", "Differences"):
        assert absent not in told
    assert "No system has a figure" in html_report(small(systems=[], headline="map"))


def test_a_headline_of_ones_own_orders_and_draws(result: EvaluationResult) -> None:
    told = " ".join(Page(html_report(result.model_copy(update={"headline": "mrr"}))).text.split())
    assert "llmrec reaches MRR" in told
    assert "Best first by MRR," in told


def test_without_matplotlib_the_tables_stand_alone(
    result: EvaluationResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, package=None: None if name == "matplotlib" else find_spec(name, package),
    )
    page = Page(html_report(result))
    assert 'pip install "llmrec[evaluation]"' in page.text
    assert not [a for tag, a in page.elements if tag == "svg" and a.get("class") == "plot"]
    assert [a for tag, a in page.elements if tag == "details" and "open" in a], "the figures are open"


def test_few_people_are_cautioned_of() -> None:
    assert "intervals are too narrow" in html_report(small(people=12))
