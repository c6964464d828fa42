"""People whose profiles the store keeps: finding one, and one of their versions."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from llmrec.cli.failures import UsageError
from llmrec.cli.session import IN_MEMORY, default_store_path
from llmrec.cli.sources import some

if TYPE_CHECKING:
    from llmrec.interests.profile import InterestProfile
    from llmrec.settings import Settings
    from llmrec.store import Store

MOST_VERSION_DIGITS = 6


@contextlib.contextmanager
def opened_kept_store(given: str | None, settings: Settings) -> Iterator[Store]:
    """Open a store that is there already: that of an option, of the settings, or the default one.

    Raises UsageError when there is none, StoreError when it cannot be used.
    """
    from llmrec.store import Store

    named = given if given is not None else (str(settings.store) if settings.store is not None else None)
    if named == IN_MEMORY:
        raise UsageError(f"{IN_MEMORY} keeps nobody: name with --store the file that does")
    path = Path(named).expanduser() if named is not None else default_store_path()
    if not _exists(path):
        raise UsageError(
            f"there is no store at {path}: "
            + ("check the path" if named is not None else "llmrec profile EVENTS makes one")
        )
    with contextlib.closing(Store(path)) as store:
        yield store


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def kept_profile(store: Store, user_id: str) -> InterestProfile:
    """The last profile of a person. Raises UsageError naming those there are when there is none."""
    profile = store.profile(user_id)
    if profile is None:
        known = some([person.user_id for person in store.people() if person.profiles])
        raise UsageError(
            f"the store holds no profile of {user_id!r}: "
            + (f"choose among {known}" if known else "it holds none at all, so name a file of events")
        )
    return profile


def seconds_of(date: str, option: str) -> float:
    """A date in seconds since the epoch. Raises UsageError for what is none."""
    from llmrec.behavior.events import parse_timestamp

    try:
        seconds = parse_timestamp(date)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error
    if seconds is None:
        raise UsageError(f"{option} is empty: give a date such as 2026-01-31")
    return seconds


def is_version(given: str) -> bool:
    """Whether a number names a version of a profile rather than a time in seconds."""
    return given.isascii() and given.isdigit() and len(given) <= MOST_VERSION_DIGITS


def kept_version(store: Store, user_id: str, version: int, option: str) -> InterestProfile:
    """A version of a person's profile. Raises UsageError naming those there are when it is not kept."""
    profile = store.profile(user_id, version)
    if profile is None:
        known = some([str(each) for each in store.profile_versions(user_id)], most=20)
        raise UsageError(
            f"{option}: version {version} of {user_id!r} is not kept: choose among {known}, "
            "or give a date such as 2026-01-31"
        )
    return profile
