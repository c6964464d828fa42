"""Forgetting what a person did, with everything that was made of it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from llmrec.behavior.events import Catalog
from llmrec.errors import InputError
from llmrec.interests.hierarchy import PATH_SEPARATOR
from llmrec.interests.profile import InterestProfile
from llmrec.interests.revision import without_events
from llmrec.llm.base import LanguageModel, forget_prefixes
from llmrec.store import Forgotten, Store, UnreadableRecordError


class ForgetReport(BaseModel):
    """What was forgotten of a person, and what is left."""

    model_config = ConfigDict(frozen=True)

    user_id: str
    what: str
    """What was to be forgotten, in words."""
    event_ids: tuple[str, ...] = ()
    """The events it was about."""
    forgotten: Forgotten = Forgotten()
    profile: InterestProfile | None = None
    """The profile of what is left; None when nothing is."""


def forget(
    store: Store,
    person: str | InterestProfile,
    *,
    interest: str | None = None,
    item: str | None = None,
    domain: str | None = None,
    everything: bool = False,
    model: LanguageModel | None = None,
    catalog: Catalog | None = None,
) -> ForgetReport:
    """Delete events of a person and all that was derived from them, and look whether a trace is left.

    Exactly one of these says what: `interest` (its id, label or path), all events in its evidence; `item`,
    all events about the item of this id; `domain`, all events about items of it; `everything`, all that is
    kept of the person. With the events go every kept version of the profile and every ranking made with
    them, the model's answers about the person, and what `model` remembers of having read texts (of anyone,
    since what it keeps does not tell whose they are). What is left is computed anew and kept. Edits of what
    nothing speaks of any more go too, and so do predictions for others that rest on people with like
    interests. It cannot be undone. A profile object made before still holds what was forgotten: go on with
    that of the report.

    `person` is an id, or a profile that may not be kept. Raises InputError for someone of whom nothing is
    known or an interest that is not there, StoreError. `catalog` tells the domains of items that no kept
    profile holds.
    """
    if sum([interest is not None, item is not None, domain is not None, everything]) != 1:
        raise InputError("say what to forget: one of interest, item, domain and everything")
    user_id = person if isinstance(person, str) else person.user_id
    profile = _last_profile(store, user_id, needed=not everything) if isinstance(person, str) else person
    if everything:
        return _forget_person(store, user_id, profile, model)
    if profile is None:
        raise InputError(f"no profile is kept of {user_id!r}: only everything can be forgotten")
    what, event_ids = events_to_forget(profile, interest, item, domain, store=store, catalog=catalog)
    prefixes = forget_prefixes(model) if model is not None else 0
    gone = store.forget_events(user_id, event_ids)
    left = without_events(profile, event_ids)
    if left.entries:
        store.save_profile(left)
    # Once more, since what is left was written after the first look.
    traces = tuple(dict.fromkeys([*gone.traces, *store.traces(user_id, event_ids)]))
    store.clear_shared_predictions(but=user_id)
    return ForgetReport(
        user_id=user_id,
        what=what,
        event_ids=event_ids,
        forgotten=gone.model_copy(update={"prefixes": prefixes, "traces": traces}),
        profile=left if left.entries else None,
    )


def _forget_person(
    store: Store, user_id: str, profile: InterestProfile | None, model: LanguageModel | None
) -> ForgetReport:
    if profile is None and not any(one.user_id == user_id for one in store.people()):
        raise InputError(f"nothing is kept of {user_id!r}")
    event_ids = tuple(entry.event.id for entry in profile.entries) if profile else ()
    prefixes = forget_prefixes(model) if model is not None else 0
    gone = store.forget_person(user_id)
    store.clear_shared_predictions(but=user_id)
    return ForgetReport(
        user_id=user_id,
        what="everything",
        event_ids=event_ids,
        forgotten=gone.model_copy(update={"prefixes": prefixes}),
    )


def _last_profile(store: Store, user_id: str, *, needed: bool) -> InterestProfile | None:
    """The last profile of a person; None also where it cannot be read and is not needed."""
    try:
        return store.profile(user_id)
    except UnreadableRecordError:
        if needed:
            raise
        return None


def events_to_forget(
    profile: InterestProfile,
    interest: str | None,
    item: str | None,
    domain: str | None,
    *,
    store: Store | None = None,
    catalog: Catalog | None = None,
) -> tuple[str, tuple[str, ...]]:
    """What is to be forgotten in words, and the ids of the events it is about; see `forget`.

    With a `store`, also those that only its table of events or an earlier version of the profile holds; of
    the former, `catalog` tells the domains.
    Raises InputError for an interest that is not there, and when no event is about what is named.
    """
    kept = store.events(profile.user_id) if store is not None else []
    versions = [profile, *(_earlier_versions(store, profile.user_id) if store is not None else ())]
    found: dict[str, None] = {}
    if interest is not None:
        interest_id = profile.find(interest)
        if interest_id in profile.hierarchy:
            name = PATH_SEPARATOR.join(profile.hierarchy.path(interest_id))
        else:
            name = PATH_SEPARATOR.join(next(s.path for s in profile.suppressed if s.id == interest_id))
        what = f"the interest {name}"
        for version in versions:
            found.update(dict.fromkeys(events_about(version, interest_id)))
    elif item is not None:
        what = f"the item {item}"
        held = [entry.event for version in versions for entry in version.entries]
        found.update({event.id: None for event in [*held, *kept] if event.item_id == item})
    else:
        what = f"the domain {domain}"
        wanted = (domain or "").casefold()
        items = {entry.event.id: entry.item for version in versions for entry in version.entries}
        if catalog is not None:
            items.update({e.id: catalog.get(e.item_id) for e in kept if e.item_id and e.id not in items})
        for event_id, about in items.items():
            own = (about.domain or "").casefold() if about is not None else ""
            if own and own == wanted:
                found[event_id] = None
    if not found:
        raise InputError(f"no event of {profile.user_id!r} is about {what}: nothing is to be forgotten")
    return what, tuple(found)


def _earlier_versions(store: Store, user_id: str) -> list[InterestProfile]:
    found = []
    for version in store.profile_versions(user_id):
        try:
            profile = store.profile(user_id, version)
        except UnreadableRecordError:
            continue
        if profile is not None:
            found.append(profile)
    return found


def events_about(profile: InterestProfile, interest_id: str) -> tuple[str, ...]:
    """The ids of all events that say anything about an interest or a narrower one, in the order of time.

    Whether the interest stands in the hierarchy or is suppressed; edits that merged and moved are followed.
    """
    everything = profile.model_copy(
        update={
            "edits": tuple(edit for edit in profile.edits if edit.kind != "remove"),
            "numbers": profile.numbers.model_copy(update={"least_weight": 0.0, "items_of_proposed": 1}),
        }
    ).computed()
    if interest_id not in everything.hierarchy:
        return ()
    return tuple(cited.event_id for cited in everything.hierarchy[interest_id].evidence)
