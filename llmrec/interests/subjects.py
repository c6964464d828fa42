"""What an extraction reads: each distinct item or sentence of a history, once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from llmrec.behavior.events import HistoryEntry, Item
from llmrec.interests.taxonomy import CJK_RUN

LETTER = re.compile(r"[^\W\d_]", re.UNICODE)
# What ends a sentence or turns it round, and what only goes on with a list.
TURN = r"\.(?=\s|$)|[!?;\n。！？；]+|\bbut\b|但是|(?<!不)但(?!丁)|不过|可是|而是|而且"
LIST = r"[,，、]+|\b(?:and|or|nor|also)\b|\b(?=(?:without|except|instead of|rather than)\b)|以及|还有|或者"
CLAUSE_END = re.compile(rf"(?P<turn>{TURN})|{LIST}", re.IGNORECASE)
# A sentence about oneself says no as well as yes; the words before the name tell which.
NEGATION = re.compile(
    r"\b(?:no(?!-)|not|never|nothing|neither|nor|without|except|instead of|rather than|cannot"
    r"|(?:do|does|did|is|are|was|were|ca|wo|would|could|should|have|has)n['’]?t"
    r"|hate[sd]?|dislike[sd]?|loathe[sd]?|avoid|bored|boring|tired of|sick of|less)\b"
    r"|不|没|别|讨厌|厌恶|反感|拒绝|除了|腻了|无聊|受够",
    re.IGNORECASE,
)
NO_NEGATION = re.compile(
    r"\bno (?:matter|doubt|problem)\b|\bnot (?:only|just|bad|to mention)\b|\bmore or less\b"
    r"|\b(?:can['’]?t|cannot|can not) (?:wait|get enough|stop|resist|help|beat|(?:live|do) without)\b"
    r"|\b(?:don['’]?t|won['’]?t|never) (?:mind|miss|tire|get (?:tired|bored))\b"
    r"|\bnothing (?:beats|better|like)\b"
    r"|不[仅只但错断同少止管论愧锈粘朽]|不得不|不一样|不亚于|不好意思|不释手|不能没有|不可或缺"
    r"|[百看听]不[厌够腻]|差不多|忍不住|离不开|停不下|舍不得|了不起|欲罢不能|不[想能会容要]*错过|别错过"
    r"|没[错想]|没问题|没[有什么]*比|[特区分类级性派告识]别|别[人的墅致具]"
    r"|非.{1,8}不可|除了[^。！？；]{1,30}?[还也]",
    re.IGNORECASE,
)
# What shows that a clause after a no speaks for itself and does not go on with the list of what is unwanted.
OWN_STATEMENT = re.compile(
    r"\b(?:i|i['’]m|we|my|love|likes?|enjoy|prefer|want|need|fan|favou?rites?|please|more|only|just|is|are|was"
    r"|were|looking|always|give)\b|我|喜欢|爱(?!情)|(?<![幻思理梦])想|要|偏好|只|更|最|推荐|都(?!市)|可以",
    re.IGNORECASE,
)
MAX_TITLE = 1000
MAX_KINDS = 20
MAX_KIND = 200
MAX_DESCRIPTION = 2000
MAX_SENTENCE = 4000


@dataclass(frozen=True)
class Subject:
    """Something to find interests in: an item, or a clause of what the person wrote."""

    title: str
    description: str = ""
    kinds: tuple[str, ...] = ()
    """The item's own domain and categories; empty for a sentence."""
    domain: str = ""
    """The first of `kinds` where that is what kind of thing the item is."""
    attributes: tuple[tuple[str, str], ...] = ()
    is_text: bool = False
    negative: bool = False
    """Whether the clause says that the person does not want it."""

    @property
    def key(self) -> str:
        """Equal for subjects that read alike."""
        return repr((self.title, self.description, self.kinds, self.attributes, self.is_text))


def item_subject(item: Item) -> Subject:
    """The subject an item makes."""
    kinds = ((item.domain,) if item.domain else ()) + item.categories
    return Subject(
        title=item.title[:MAX_TITLE],
        description=item.description[:MAX_DESCRIPTION],
        kinds=tuple(kind[:MAX_KIND] for kind in kinds[:MAX_KINDS]),
        domain=(item.domain or "")[:MAX_KIND],
        attributes=tuple(sorted(item.attributes.items())),
    )


def entry_subjects(entry: HistoryEntry) -> list[Subject]:
    """The subjects of an event: its item, or the clauses of its text where there is no item.

    The text of a review says how the person found the item, not what it is about, so the item speaks.
    """
    if entry.item is not None:
        return [item_subject(entry.item)]
    clauses = split_clauses(entry.event.text or "")
    if entry.event.action != "say":
        whole = (entry.event.text or "").strip()[:MAX_SENTENCE]
        return [Subject(title=clauses[0].text if len(clauses) == 1 else whole, is_text=True)]
    return [Subject(title=clause.text, is_text=True, negative=clause.negative) for clause in clauses]


@dataclass(frozen=True)
class Clause:
    """A piece of what a person wrote."""

    text: str
    negative: bool
    """Whether it turns away what it names."""


def split_clauses(text: str) -> list[Clause]:
    """Cut a sentence where it may turn to something else; empty pieces are left out.

    A no holds on for the rest of a list: in "no horror, gore or zombies, but I love westerns" for all three.
    """
    text = text.strip()[:MAX_SENTENCE]
    idioms = [found.span() for found in NO_NEGATION.finditer(text)]

    def free(at: int) -> bool:
        return not any(begin <= at < end for begin, end in idioms)

    noes = [found.start() for found in NEGATION.finditer(text) if free(found.start())]
    clauses: list[Clause] = []
    begin, goes_on = 0, False
    for end in [*(found for found in CLAUSE_END.finditer(text) if free(found.start())), None]:
        stop = end.start() if end else len(text)
        piece = text[begin:stop].strip()
        if piece:
            own = any(begin <= at < stop for at in noes)
            carried = goes_on and not OWN_STATEMENT.search(piece) and clauses[-1].negative
            clauses.append(Clause(piece, own or carried))
            goes_on = True
        goes_on = goes_on and end is not None and not end["turn"]
        begin = end.end() if end else stop
    return clauses or ([Clause(text, bool(noes))] if text else [])


def wanted_words(entry: HistoryEntry) -> str:
    """What the words of an event ask for: a sentence without the clauses that say no."""
    text = entry.event.text or ""
    if entry.event.action != "say":
        return text
    clauses = split_clauses(text)
    if not any(clause.negative for clause in clauses):
        return text
    return ", ".join(clause.text for clause in clauses if not clause.negative)


def language_of(texts: Sequence[str]) -> str:
    """`zh` when most letters are Chinese characters, else `en`."""
    joined = " ".join(texts)
    chinese = sum(len(run) for run in CJK_RUN.findall(joined))
    # A Chinese character says about as much as an English word of four letters.
    return "zh" if chinese * 4 > sum(1 for _ in LETTER.finditer(joined)) - chinese else "en"
