"""Whom to recommend to: the people that events, a saved profile, a sentence or the store tell of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llmrec.cli.failures import UsageError
from llmrec.cli.kept import kept_profile
from llmrec.cli.sources import FileOptions, PersonEvents, in_parts, read_people, read_profiles
from llmrec.cli.terminal import Terminal
from llmrec.cli.views import plural

if TYPE_CHECKING:
    from llmrec.behavior.cleaning import CleaningReport
    from llmrec.behavior.events import Event
    from llmrec.interests.profile import InterestProfile
    from llmrec.recommender import Recommender
    from llmrec.store import Store

SOMEBODY = "you"


@dataclass(frozen=True)
class Given:
    """What the command line says of the person."""

    events: FileOptions | None
    profile: str | None
    sentences: tuple[str, ...]
    user: str | None

    def check(self) -> None:
        """Raise UsageError when that is nobody, or two things at once."""
        if self.profile and (self.events or self.sentences):
            raise UsageError("--profile stands for the events: leave out the file of events and --say")
        if not (self.events or self.profile or self.sentences or self.user):
            raise UsageError(
                "nobody to recommend to: name a file of events, --profile FILE, --say TEXT, or --user ID"
            )
        if not all(sentence.strip() for sentence in self.sentences):
            raise UsageError("--say is empty: give a sentence, such as --say 'quiet science fiction'")
        if self.user == "":
            raise UsageError("--user is empty: give an id")


@dataclass(frozen=True)
class Person:
    """Someone to recommend to."""

    user_id: str
    profile: Callable[[Recommender], InterestProfile]
    """Makes the profile, or returns the one that is there."""
    is_new: bool
    """Whether the profile is made now, so that there may be something to tell of it."""


@dataclass(frozen=True)
class Whom:
    """Everyone to recommend to, in turn."""

    people: list[Person]
    reading: CleaningReport
    """What reading the events found; empty when none were read."""
    read_in_parts: bool = False
    """Whether that is more than the reports of the people tell."""
    notes: tuple[str, ...] = ()


def people_to_recommend_to(terminal: Terminal, given: Given, store: Store) -> Whom:
    """Read what the command line names.

    Raises UsageError for a person who is not there, InputError for a file that cannot be used.
    """
    from llmrec.behavior.cleaning import CleaningReport

    if given.profile is not None:
        saved = read_profiles(terminal, given.profile, given.user)
        return Whom([_with_profile(profile) for profile in saved], CleaningReport())
    if given.events is not None:
        people, reading = read_people(terminal, given.events, given.user)
        if given.sentences and len(people) > 1:
            raise UsageError(f"--say is one person's: name with --user which of the {len(people)}")
        everyone = [_with_events(person, given.sentences) for person in people]
        return Whom(everyone, reading, in_parts(people, reading))
    if given.sentences:
        return _who_only_said(given.sentences, given.user, store)
    return Whom([_with_profile(kept_profile(store, given.user or ""))], CleaningReport())


def _with_profile(profile: InterestProfile) -> Person:
    return Person(profile.user_id, lambda _: profile, is_new=False)


def _with_events(person: PersonEvents, sentences: Sequence[str]) -> Person:
    from llmrec.behavior.cleaning import CleaningReport

    said = _said(person.user_id, sentences)
    events = [*person.events, *said]
    report = person.report + CleaningReport(read=len(said), kept=len(said))
    return Person(
        person.user_id,
        lambda recommender: recommender.profile(events, user_id=person.user_id, report=report),
        is_new=True,
    )


def _who_only_said(sentences: Sequence[str], user: str | None, store: Store) -> Whom:
    from llmrec.behavior.cleaning import CleaningReport

    user_id = user if user is not None else SOMEBODY
    said = _said(user_id, sentences)
    new = {event.id for event in said}
    earlier = [event for event in store.events(user_id) if event.id not in new] if user is not None else []
    notes: tuple[str, ...] = ()
    if earlier:
        verb = "was" if len(earlier) == 1 else "were"
        notes = (f"{plural(len(earlier), 'event')} of {user_id!r} in the store {verb} read as well",)
    person = Person(
        user_id, lambda recommender: recommender.profile([*earlier, *said], user_id=user_id), is_new=True
    )
    return Whom([person], CleaningReport(), notes=notes)


def _said(user_id: str, sentences: Sequence[str]) -> list[Event]:
    from llmrec.behavior.events import Event

    return [Event(user_id=user_id, text=sentence, action="say") for sentence in dict.fromkeys(sentences)]
