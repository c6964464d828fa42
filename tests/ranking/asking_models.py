"""Models that judge films by a hidden order, and requests for them, for tests of strategies that ask."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from llmrec.behavior.events import Event, Item
from llmrec.interests.profile import InterestProfile
from llmrec.llm.base import Capabilities, Completion, Message, Score
from llmrec.llm.scripted import ScriptedModel
from llmrec.prompting.templates import PromptLibrary
from llmrec.ranking.base import ItemScores, RankingRequest
from tests.builders import SCORES_ONLY, WRITES_ONLY
from tests.profiles import profile_of

LIBRARY = PromptLibrary()
FILM = re.compile(r"(?:Film|(?<!的)电影) (\d+)")
LIKED = re.compile(r"Liked film|看过的电影")
SHOWN = re.compile(r"(?m)^(?:(\w{1,2})\. )?(Film \d+|电影 \d+)")


class Judge(ScriptedModel):
    """Knows how good each film is, by its number, and answers every question of the strategies by that.

    `broken` is asked before every call with the call's number, from 1, and may raise.
    """

    def __init__(
        self,
        quality: Mapping[int, float],
        *,
        capabilities: Capabilities = SCORES_ONLY,
        broken: Callable[[int], None] = lambda number: None,
        answer: Callable[[list[int], int], Any] | None = None,
    ) -> None:
        super().__init__(scores=self.logprob, capabilities=capabilities)
        self.quality = quality
        self.broken = broken
        self.answer = answer
        """Given the films shown and how many are wanted, what to say in place of the truth."""
        self.asked = 0

    def films(self, prompt: str) -> dict[str, int]:
        """The films that a prompt asks about, by label."""
        offered = prompt.rpartition("<items>")[2].partition("</items>")[0]
        return {label: int(title.split()[1]) for label, title in SHOWN.findall(offered)}

    def logprob(self, prefix: str, continuation: str) -> float:
        asked, offered = (FILM.search(text) for text in (continuation, prefix))
        if asked is not None:
            return -30.0 + self.quality[int(asked[1])] / 10 * bool(LIKED.search(prefix))
        if LIKED.search(continuation):
            return -30.0 + (self.quality[int(offered[1])] / 10 if offered else 0.0)
        films, answer = self.films(prefix), continuation.strip()
        if answer in ("Yes", "是"):
            return -30.0 + self.quality[films[""]] / 10
        if answer in ("No", "否"):
            return -30.0
        if "" in films:
            return -abs(self.quality[films[""]] / 10 - int(answer))
        return -30.0 + self.quality[films[answer]] / 10

    def score(self, prefix: str, continuations: Sequence[str], **options: Any) -> list[Score]:
        self.asked += 1
        self.broken(self.asked)
        return super().score(prefix, continuations, **options)

    def generate(self, messages: Sequence[Message], **options: Any) -> Completion:
        self.asked += 1
        self.broken(self.asked)
        films = self.films(messages[1].content)
        best = sorted(films, key=lambda label: -self.quality.get(films[label], 0.0))
        asked = messages[1].content.rpartition("</items>")[2]
        wanted = re.search(r"Choose the (\d+)|请选出这个人最喜欢的 (\d+)", asked)
        count = int(wanted[1] or wanted[2]) if wanted else len(best)
        said: Any
        if self.answer is not None:
            said = self.answer([films[label] for label in films], count)
        elif "Grade each" in asked or "打分" in asked:
            grades = {label: round(self.quality[film] / 4) for label, film in films.items()}
            said = {"grades": [{"item": int(label), "grade": grade} for label, grade in grades.items()]}
        elif "one of these" in asked or "哪一个" in asked:
            said = {"best": int(best[0])}
        else:
            said = {"order": [int(label) for label in best[:count]]}
        self.enqueue(said if isinstance(said, str) else json.dumps(said))
        return super().generate(messages, **options)


def judge_of(scored: bool, quality: Mapping[int, float], **options: Any) -> Judge:
    """A judge that gives log-probabilities, or one that writes."""
    return Judge(quality, capabilities=SCORES_ONLY if scored else WRITES_ONLY, **options)


def viewer(liked: int = 3, *, language: str = "en") -> InterestProfile:
    """A person who liked so many films."""
    word = "看过的电影" if language == "zh" else "Liked film"
    items = [{"id": f"liked{n}", "title": f"{word} {n}"} for n in range(liked)]
    events = [Event(user_id="a", action="like", item_id=item["id"]) for item in items]
    return profile_of(events, items=items, language=language)


def films(count: int, *, language: str = "en") -> tuple[Item, ...]:
    """Films 0, 1, ...: `Film 3` has the id `f03`."""
    word = "电影" if language == "zh" else "Film"
    return tuple(Item(id=f"f{n:02}", title=f"{word} {n}") for n in range(count))


def request_of(items: Sequence[Item], **options: Any) -> RankingRequest:
    """A request for a viewer."""
    return RankingRequest(**{"profile": viewer(), "items": tuple(items), **options})


def ranked_ids(request: RankingRequest, scores: ItemScores) -> list[str]:
    """The ids of the items, the best first; equals as they were given."""
    order = sorted(range(len(request.items)), key=lambda at: -scores.scores[at])
    return [request.items[at].id for at in order]
