"""The words of a title: which may begin, end or make a name, and which only tell amounts and packaging."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from bm25s.stopwords import STOPWORDS_EN_PLUS

from llmrec.interests.taxonomy import CJK_RUN, WORD

MAX_TITLE = 200
"""Characters of a title that are read."""
MAX_FINAL_DIGITS = 3
Span = tuple[int, int]

FUNCTION_WORDS = frozenset(STOPWORDS_EN_PLUS) | {"vs", "via", "per", "de", "la", "le", "el", "et"}
# Amounts: what stands beside them is not part of a name.
UNITS = frozenset(
    WORD.findall("""
    pack packs packaging package packages packet packets pk count counts ct piece pieces pc pcs set sets
    box boxes bag bags bottle bottles can cans jar jars case cases tin tins tub roll rolls pair pairs
    bundle lot dozen ounce ounces oz pound pounds lb lbs gram grams g kg mg ml l liter liters litre
    litres quart quarts gallon gallons pint pints inch inches cm mm ft feet foot meter meters watt watts
    w volt volts v gb tb mb mah size sizes vary varies assorted each
    """)
)
# Sizes, colours, praise and the commonest words of titles: they stand on anything, and are a name only
# together with something else.
EMPTY_WORDS = frozenset(
    WORD.findall("""
    small medium large mini jumbo xl xxl extra big tall wide long short color colors colour colours
    black white silver grey gray red blue green pink yellow purple orange brown beige clear new old used
    great best good better premium classic original professional deluxe standard basic regular value
    super ultra plus pro free sale edition version volume vol model style type brand product products
    item items quality design designed inc ltd co llc first last one two three four five six seven eight
    nine ten number only part series collection complete
    adventure adventures age air alive alone always america american angel another away baby back bad battle
    beautiful become beginning behind beyond blood body book books boy boys bride brother brothers came chance
    change child children christmas city club come comes coming country crazy cut dark darkness daughter dawn
    day days dead deadly death deep devil dog door dream dreams earth edge end enemy escape eternal ever every
    evil eye eyes face fall fallen family far fast father fear fight final fire found friend friends full fun
    game games gift girl girls god going gold golden gone ground guide half hand hands happy hard head heart
    hearts heaven hell help hero heroes high hill history home hope hot hour house human hunt ice inside
    island journey kid kids kill killer king kings know lady land leave left legend legends let lie life light
    like line little live lives living look lost love lover lovers mad made magic make making man master men
    mind miracle mirror miss moment money monster moon morning mother mountain move mr mrs murder mystery name
    never next night nights nothing ocean order others paradise party past people perfect place play power
    prince princess queen quest rain return revenge right rise river road room rose run running sea search
    season second secret secrets see seen sense shadow shadows sharp show silent sister sky sleep smart snow
    soft something son song soul special spirit spring star stars state step still stone stop storm stories
    story strange street strong summer sun take tale tales talk tell thing things think time times today
    together tomorrow tonight top touch town trip true truth turn ultimate universe valley voice walk wall war
    water way week well west wild wind window winter wish witch without wolf woman women wonder word words
    work world worlds write wrong year years young zero
    """)
)
# What no Chinese name begins or ends with: particles, pronouns, numerals, measures and packaging.
CHINESE_EDGES = frozenset(
    "的了和与及或是在有不我你他她它这那都也就而把被给让吗呢吧啊之其为以对从到上下中个只款用"
    "一二三四五六七八九十两几装盒袋瓶罐箱件克斤升毫寸包邮套"
)
UNIT_NUMBER = re.compile(
    r"\d+(?:" + "|".join(sorted(UNITS, key=len, reverse=True)) + r"|p|k|hz|x\d*)", re.ASCII
)
# What parts the words of a title into runs, within which a name stands.
BREAK = re.compile(r"[^\w\s'’&+#.-]|\.(?!\w)|\s[-–—]+\s|_", re.UNICODE)


@dataclass
class Run:
    """Words of a title that follow one another, or characters of a run of Chinese, with what each may be."""

    chinese: bool
    words: list[str] = field(default_factory=list)
    """Folded."""
    spans: list[Span] = field(default_factory=list)
    may_begin: list[bool] = field(default_factory=list)
    may_end: list[bool] = field(default_factory=list)
    content: list[bool] = field(default_factory=list)
    """Whether it is neither a function word, nor a number, nor an empty word."""


def word_runs(title: str) -> list[Run]:
    """The words of a title, cut where no name goes on: at punctuation, amounts and long numbers."""
    title = title[:MAX_TITLE]
    runs: list[Run] = []
    spaced = title
    if CJK_RUN.search(title):
        for found in CJK_RUN.finditer(title):
            inside = [character not in CHINESE_EDGES for character in found.group()]
            spans = [(at, at + 1) for at in range(*found.span())]
            runs.append(Run(True, list(found.group()), spans, inside, inside, inside))
        spaced = CJK_RUN.sub(lambda found: "|" * len(found.group()), title)
    begin = 0
    for stop in BREAK.finditer(spaced):
        _add_run(runs, spaced, begin, stop.start())
        begin = stop.end()
    _add_run(runs, spaced, begin, len(spaced))
    return runs


def _add_run(runs: list[Run], text: str, begin: int, end: int) -> None:
    run = Run(False)
    words = [(match.group().casefold(), match.span()) for match in WORD.finditer(text, begin, end)]
    for at, (word, span) in enumerate(words):
        number = word.isdigit()
        counted = number and at + 1 < len(words) and words[at + 1][0] in UNITS
        if word in UNITS or counted or (word[0].isdigit() and _cuts(word)):
            if run.words:
                runs.append(run)
                run = Run(False)
            continue
        function = word in FUNCTION_WORDS
        run.words.append(word)
        run.spans.append(span)
        run.may_begin.append(not (function or number))
        run.may_end.append(not function)
        run.content.append(not (function or number or word in EMPTY_WORDS))
    if run.words:
        runs.append(run)


def _cuts(word: str) -> bool:
    return (word.isdigit() and len(word) > MAX_FINAL_DIGITS) or UNIT_NUMBER.fullmatch(word) is not None


def without_amounts(title: str) -> str:
    """The folded words of a title that tell what it is about: without numbers, sizes and packaging."""
    parts = [
        ("" if run.chinese else " ").join(word for word in run.words if not word.isdigit())
        for run in word_runs(title)
    ]
    return " ".join(part for part in parts if part)
