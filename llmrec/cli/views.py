"""What results look like to a reader: trees of interests, rankings, tables, at any width."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from llmrec.cli.prose import Prose

if TYPE_CHECKING:
    from llmrec.interests.hierarchy import Interest, InterestHierarchy
    from llmrec.ranking.types import RankedItem, Ranking

# Below half a hundredth a weight is shown as 0.00 and tells a reader nothing.
SMALLEST_WEIGHT = 0.005
BAR_WIDTH = 12
WIDE_ENOUGH_FOR_BARS = 80
WIDE_ENOUGH_FOR_TIERS = 54
WIDE_ENOUGH_FOR_PROBABILITIES = 54
MINUS = "−"
TERMS = {"short-term": "short", "long-term": "long", "both": "both"}
TIERS = {"core": ("●", "core"), "regular": ("◐", "regular"), "occasional": ("○", "occasional")}
PINNED = ("◆", "pinned")
TIER_STYLES = {"core": "bold", "regular": "", "occasional": "dim", "pinned": "bold"}


def plain(text: str, style: str = "") -> Text:
    """A text from data, with nothing in it that a terminal would obey."""
    from llmrec.behavior.text import clean_text

    return Text(clean_text(text), style=style)


def prose(text: str, style: str = "") -> Prose:
    """A paragraph from data, with nothing in it that a terminal would obey."""
    from llmrec.behavior.text import clean_text

    return Prose(clean_text(text), style)


def signed(number: float) -> str:
    """A number with two digits and a true minus sign; what rounds to nothing has no sign."""
    text = f"{abs(number):.2f}"
    return f"{MINUS}{text}" if number < 0 and float(text) else text


def plural(count: int, word: str) -> str:
    """A count with its word, for example 1 event, 2 events."""
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def heading(title: str, subtitle: str = "") -> RenderableType:
    """A rule with a name in it, and what it means below."""
    rule = Rule(plain(title, "bold"), align="left", style="cyan")
    return Group(rule, prose(subtitle)) if subtitle else rule


def section(title: str) -> Text:
    """The title of a part."""
    return Text(title, style="bold cyan")


def interests_view(
    hierarchy: InterestHierarchy, console: Console, *, most: int | None = None
) -> RenderableType:
    """The tree with weights, terms, tiers and numbers of supporting events.

    With `most`, the heaviest interests and those above them are shown, and a last line says how many are
    not. What the person turned away from stands in red with a minus sign. Where the terminal is narrow, a
    sign stands for the tier, and a line below tells what it means.
    """
    from llmrec.behavior.text import clean_text

    if not len(hierarchy):
        return Text("no interests were found", style="italic")
    shown = heaviest(hierarchy, most) if most is not None else {interest.id for interest in hierarchy.walk()}
    bars, tiers = console.width >= WIDE_ENOUGH_FOR_BARS, console.width >= WIDE_ENOUGH_FOR_TIERS
    table = Table(box=None, padding=(0, 2 if tiers else 1, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("interest", overflow="fold")
    table.add_column("weight", justify="right", no_wrap=True)
    if bars:
        table.add_column("", no_wrap=True)
    table.add_column("term", no_wrap=True)
    table.add_column("tier" if tiers else "", no_wrap=True)
    table.add_column("events", justify="right", no_wrap=True)
    signs = {}
    for interest, guide in _lines(hierarchy, shown, None, ""):
        turned_away = interest.polarity == "negative" and interest.weight >= SMALLEST_WEIGHT
        style = "red" if turned_away else ("bold" if interest.parent_id is None else "")
        weight = -interest.weight if interest.polarity == "negative" else interest.weight
        sign, tier = tier_of(interest)
        signs[sign] = tier
        table.add_row(
            Prose(clean_text(interest.label), style, indents=(guide, _below(guide))),
            Text(signed(weight), style=style),
            *([_bar(interest.weight, turned_away)] if bars else []),
            Text(TERMS[interest.horizon], style="dim" if interest.horizon == "both" else ""),
            Text(f"{sign} {tier}" if tiers else sign, style=TIER_STYLES[tier]),
            Text(str(interest.support), style="dim"),
        )
    parts: list[RenderableType] = [table]
    hidden = len(hierarchy) - len(shown)
    if hidden:
        parts.append(Text(f"… and {plural(hidden, 'lighter interest')}", style="dim italic"))
    if not tiers:
        legend = [f"{sign} {name}" for sign, name in (*TIERS.values(), PINNED) if sign in signs]
        parts.append(prose(", ".join(legend), "dim"))
    return Group(*parts)


def tier_of(interest: Interest) -> tuple[str, str]:
    """The sign and the name of the tier of an interest; a pinned one counts as core."""
    return PINNED if interest.pinned else TIERS[interest.tier]


def heaviest(hierarchy: InterestHierarchy, most: int) -> set[str]:
    """The ids of at most `most` interests: the heaviest, each with all above it."""
    shown: set[str] = set()
    for interest in sorted(hierarchy.interests, key=lambda interest: (-interest.weight, interest.id)):
        if interest.weight < SMALLEST_WEIGHT:
            break
        needed: set[str] = set()
        current: str | None = interest.id
        while current is not None and current not in shown:
            needed.add(current)
            current = hierarchy[current].parent_id
        if len(shown) + len(needed) <= most:
            shown |= needed
    return shown


def _lines(
    hierarchy: InterestHierarchy, shown: set[str], parent_id: str | None, indent: str
) -> Iterable[tuple[Interest, str]]:
    below = [interest for interest in hierarchy.children(parent_id) if interest.id in shown]
    for interest in below:
        last = interest is below[-1]
        top = parent_id is None
        yield interest, indent + ("" if top else "└─ " if last else "├─ ")
        yield from _lines(hierarchy, shown, interest.id, indent + ("" if top else "   " if last else "│  "))


def _below(guide: str) -> str:
    """What stands before the further lines of a label that does not fit on one."""
    return guide.replace("├─", "│ ").replace("└─", "  ")


def _bar(weight: float, turned_away: bool) -> Text:
    filled = round(weight * BAR_WIDTH * 2)
    bar = "━" * (filled // 2) + ("╸" if filled % 2 else "")
    return Text(bar, style="red" if turned_away else "green")


def ranking_view(ranking: Ranking, console: Console) -> RenderableType:
    """The items with score and probability, what moved them, and under each the line that says why.

    The probability stands there where that says more than that all are alike. Where the terminal is narrow it
    stands below the score, and a last line tells what it means.
    """
    if not len(ranking):
        return Text("nothing could be ranked", style="italic")
    telling, wide = _probabilities_tell(ranking), console.width >= WIDE_ENOUGH_FOR_PROBABILITIES
    grid = Table(
        box=None, show_header=wide, header_style="dim", padding=(0, 2 if wide else 1, 0, 0), pad_edge=False
    )
    grid.add_column("", justify="right", style="dim", no_wrap=True)
    grid.add_column("score", justify="right", no_wrap=True)
    if telling and wide:
        grid.add_column("likely", justify="right", no_wrap=True)
    grid.add_column("", overflow="fold", ratio=1)
    for ranked in ranking.items:
        score = Text(signed(ranked.score), style="green")
        likely = Text(percent(ranked.probability) if telling else "")
        if telling and not wide:
            score.append("\n").append_text(likely)
        columns = [score, likely] if telling and wide else [score]
        grid.add_row(str(ranked.rank), *columns, _item_view(ranked))
    if not telling or wide:
        return grid
    count = f"{ranking.candidates:,}"
    return Group(grid, prose(f"%: how likely the person is to choose it, of the {count} candidates", "dim"))


def percent(probability: float | None) -> str:
    """A probability in whole percent; what would round to none is below one."""
    if probability is None:
        return ""
    rounded = f"{probability:.0%}"
    return "<1%" if rounded == "0%" else rounded


def _probabilities_tell(ranking: Ranking) -> bool:
    """Whether the likeliest item stands out from what it would be if all were alike."""
    known = [ranked.probability for ranked in ranking.items if ranked.probability is not None]
    return bool(known) and percent(max(known)) != percent(1 / max(ranking.candidates, 1))


def _item_view(ranked: RankedItem) -> RenderableType:
    title = plain(ranked.item.title, "bold")
    moved = ranked.placement
    if moved is not None and moved.from_rank != ranked.rank:
        title.append(
            f"  {'↑' if moved.from_rank > ranked.rank else '↓'} from {moved.from_rank}", "not bold yellow"
        )
    kinds = dict.fromkeys([*filter(None, [ranked.item.domain]), *ranked.item.categories])
    if kinds:
        title.append("  ").append_text(plain(", ".join(kinds), "not bold cyan"))
    return Group(title, prose(ranked.why)) if ranked.why else title


def facts(rows: Sequence[tuple[str, str]]) -> RenderableType:
    """Names with values, the values in a column of their own."""
    grid = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        grid.add_row(plain(name), plain(value))
    return grid


def commands(rows: Sequence[tuple[str, str]]) -> RenderableType:
    """Commands, each with its purpose beneath it, so that a command is never broken by a column."""
    parts: list[RenderableType] = []
    for command, purpose in rows:
        parts += [Text(command, style="bold"), Padding(Text(purpose, style="dim"), (0, 0, 0, 2))]
    return Group(*parts)
