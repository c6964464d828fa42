from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from llmrec.behavior.events import Item
from llmrec.cli.views import heading, heaviest, interests_view, percent, ranking_view, signed
from llmrec.interests.hierarchy import InterestHierarchy
from llmrec.ranking.reorder import Placement
from llmrec.ranking.types import RankedItem, Ranking
from tests.builders import interest

WHY = (
    "shares words with The Master and Margarita and Beloved; Books › Literary fiction (weight 0.41); "
    "与「米家压力IH电饭煲」用词相近；模型认为有这段历史比没有时更可能出现（+79.3 nats）"
)
RANKING = Ranking(
    user_id="ana",
    items=(
        RankedItem(
            rank=1,
            item=Item(id="a", title="One Hundred Years of Solitude", categories=("Literary fiction",)),
            score=1.5,
            signals={},
            why=WHY,
        ),
        RankedItem(
            rank=2,
            item=Item(id="b", title="苏泊尔球釜电饭煲", categories=("家电", "电饭煲"), domain="家电"),
            score=-0.251,
            signals={},
            why=WHY,
        ),
    ),
    candidates=2,
    model="m",
)
TREE = InterestHierarchy(
    interests=(
        interest("books", "e1", "e2", weight=0.8),
        interest("books/science-fiction", "e1", weight=0.6),
        interest("books/horror", "e2", weight=0.3, polarity="negative"),
        interest("films", "e3", weight=0.002, polarity="negative"),
    )
)


def shown(renderable: object, width: int, **options: object) -> str:
    console = Console(file=io.StringIO(), width=width, markup=False, emoji=False, highlight=False, **options)  # type: ignore[arg-type]
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined,no-any-return]


@pytest.mark.parametrize("width", [40, 60, 100])
def test_a_ranking_fits_any_terminal_with_nothing_cut(width: int) -> None:
    text = shown(ranking_view(RANKING, Console(width=width)), width)
    assert max(cell_len(line.rstrip()) for line in text.splitlines()) <= width
    assert "…" not in text
    everything = "".join(text.split())
    assert everything.count("".join(WHY.split())) == 2
    assert "OneHundredYearsofSolitude" in everything
    assert "苏泊尔球釜电饭煲家电,电饭煲" in everything


def test_scores_have_two_digits_and_a_true_minus_sign() -> None:
    text = shown(ranking_view(RANKING, Console(width=80)), 80)
    assert "1.50" in text
    assert "−0.25" in text
    assert [signed(0.004), signed(-0.004), signed(-0.006)] == ["0.00", "0.00", "−0.01"]


def with_probabilities(*probabilities: float, candidates: int = 50) -> Ranking:
    items = [
        RankedItem(
            rank=rank, item=Item(id=str(rank), title="Solaris"), score=1, signals={}, probability=probability
        )
        for rank, probability in enumerate(probabilities, start=1)
    ]
    return Ranking(user_id="ana", items=tuple(items), candidates=candidates, model="m")


@pytest.mark.parametrize("width", [40, 80])
def test_how_likely_an_item_is_stands_in_whole_percent(width: int) -> None:
    text = shown(ranking_view(with_probabilities(0.316, 0.051, 0.004), Console(width=width)), width)
    assert [word for word in text.split() if word.endswith("%")] == ["32%", "5%", "<1%"]
    assert ("likely" in text.splitlines()[0]) == (width == 80)
    assert ("of the 50 candidates" in text) == (width == 40), "a narrow terminal is told below"


@pytest.mark.parametrize(
    "ranking",
    [
        with_probabilities(0.02, 0.02),
        with_probabilities(0.0204, 0.0199),
        with_probabilities(1.0, candidates=1),
        with_probabilities(),
        RANKING,
    ],
)
def test_how_likely_is_left_out_where_it_says_nothing(ranking: Ranking) -> None:
    for width in (40, 80):
        text = shown(ranking_view(ranking, Console(width=width)), width)
        assert "%" not in text
        assert "likely" not in text.splitlines()[0]


def test_no_percent_is_rounded_to_none() -> None:
    shown_as = [percent(value) for value in (None, 0.0, 0.004, 0.006, 0.104, 1.0)]
    assert shown_as == ["", "<1%", "<1%", "1%", "10%", "100%"]


def test_what_reordering_moved_is_marked_and_nothing_else() -> None:
    def placed(rank: int, before: int) -> RankedItem:
        placement = Placement(
            item_id=str(rank),
            from_rank=before,
            to_rank=rank,
            relevance=1,
            diversity=0,
            calibration=0,
            novelty=0,
        )
        item = Item(id=str(rank), title=f"Film {rank}")
        return RankedItem(rank=rank, item=item, score=1, signals={}, placement=placement)

    ranking = Ranking(
        user_id="ana", items=(placed(1, 1), placed(2, 7), placed(3, 2)), candidates=9, model="m"
    )
    lines = shown(ranking_view(ranking, Console(width=80)), 80).splitlines()
    assert any(line.rstrip().endswith("Film 1") for line in lines)
    assert any("Film 2  ↑ from 7" in line for line in lines)
    assert any("Film 3  ↓ from 2" in line for line in lines)


@pytest.mark.parametrize("width", [40, 60, 100])
def test_a_tree_shows_weight_and_number_of_events_on_each_line(width: int) -> None:
    console = Console(file=io.StringIO(), width=width)
    text = shown(interests_view(TREE, console), width)
    assert max(cell_len(line.rstrip()) for line in text.splitlines()) <= width
    rows = {line.split()[0].lstrip("├└"): line.split() for line in text.splitlines()}
    assert rows["Books"][1] == "0.80"
    assert rows["Books"][-1] == "2"
    assert [line for line in text.splitlines() if "├─ Science-fiction" in line and "0.60" in line]


def test_what_was_turned_away_is_red_with_a_minus_sign_and_nothing_is_not() -> None:
    text = shown(
        interests_view(TREE, Console(width=80)),
        80,
        force_terminal=True,
        color_system="standard",
        no_color=False,
    )
    horror = next(line for line in text.splitlines() if "Horror" in line)
    assert "\x1b[31m" in horror
    assert "−0.30" in horror
    films = next(line for line in text.splitlines() if "Films" in line)
    assert "\x1b[31m" not in films
    assert "−" not in films


def test_a_cut_tree_says_how_many_are_missing() -> None:
    text = shown(interests_view(TREE, Console(width=80), most=2), 80)
    assert "Science-fiction" in text
    assert "Horror" not in text
    assert "… and 2 lighter interests" in text


@st.composite
def hierarchies(draw: st.DrawFn) -> InterestHierarchy:
    ids: list[str] = []
    for number in range(draw(st.integers(0, 20))):
        parents = [each for each in ids if each.count("/") < 5]
        parent = draw(st.sampled_from(["", *parents]))
        ids.append(f"{parent}/i{number}" if parent else f"i{number}")
    return InterestHierarchy(interests=tuple(interest(each, weight=draw(st.floats(0, 1))) for each in ids))


@given(hierarchies(), st.integers(1, 12))
def test_the_heaviest_stand_below_all_that_is_above_them(hierarchy: InterestHierarchy, most: int) -> None:
    chosen = heaviest(hierarchy, most)
    assert len(chosen) <= most
    for interest_id in chosen:
        parent = hierarchy[interest_id].parent_id
        assert parent is None or parent in chosen
    top = [each for each in hierarchy.interests if each.parent_id is None and each.weight >= 0.005]
    if top and most >= 1 and all(each.parent_id is None for each in hierarchy.interests):
        assert max(top, key=lambda each: each.weight).weight in {hierarchy[each].weight for each in chosen}


def test_nothing_in_the_data_reaches_the_terminal_as_a_command() -> None:
    text = shown(heading("ana\x1b[2J\x07", "hello\x1b]0;title\x07 \u202e"), 40)
    assert not {"\x1b", "\x07", "\u202e"} & set(text)
    assert "ana" in text
