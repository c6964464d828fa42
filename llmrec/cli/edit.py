"""`llmrec edit`, `undo` and `edits`: what a person changes in their own profile."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmrec.cli.failures import UsageError
from llmrec.cli.options import JsonOption, PersonArgument, StoreOption, VocabularyOption
from llmrec.cli.terminal import PROGRAM, Terminal
from llmrec.errors import InputError

if TYPE_CHECKING:
    from llmrec.interests.edits import Edit
    from llmrec.interests.profile import InterestProfile
    from llmrec.settings import Settings


class EditAction(str, Enum):
    """What can be done to an interest."""

    RENAME = "rename"
    MERGE = "merge"
    MOVE = "move"
    PIN = "pin"
    UNPIN = "unpin"
    RAISE = "raise"
    LOWER = "lower"
    REMOVE = "remove"
    ADD = "add"


CALLS = {
    EditAction.RENAME: "rename INTEREST NAME",
    EditAction.MERGE: "merge INTEREST INTO",
    EditAction.MOVE: "move INTEREST --under OTHER, or --top",
    EditAction.ADD: "add NAME, with --under INTEREST or --top if you like",
}
"""How the actions are called that take more than an interest."""

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and keep nothing.")]


def edit(
    context: typer.Context,
    person: PersonArgument,
    action: Annotated[
        EditAction,
        typer.Argument(
            metavar="ACTION",
            help="What to do.",
        ),
    ],
    interest: Annotated[
        str,
        typer.Argument(metavar="INTEREST", help="Its name, or its path: 'Films › Horror', Films/Horror."),
    ],
    other: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="The new name (rename), or the interest to merge into."),
    ] = None,
    under: Annotated[
        str | None, typer.Option("--under", metavar="INTEREST", help="The broader interest (move, add).")
    ] = None,
    top: Annotated[bool, typer.Option("--top", help="No broader interest (move, add).")] = False,
    dry_run: DryRunOption = False,
    store: StoreOption = None,
    vocabulary: VocabularyOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a profile, as its person wishes; later events do not undo it.

    Shows what changes, and keeps it. A pinned interest never fades; a raised one weighs twice as much, a
    lowered one half; a removed one goes with all below it and stays away. No model is asked.

    \b
    llmrec edit ana rename "Films › Horror" "Scary films"
    llmrec edit ana merge Thrillers "Scary films"
    llmrec edit ana move "Scary films" --top
    llmrec edit ana add Jazz --under Music
    """
    from llmrec.cli.documents import EditDocument
    from llmrec.cli.kept import kept_profile, opened_kept_store
    from llmrec.cli.session import settings_from

    terminal: Terminal = context.obj
    wanted = wanted_edit(action, interest, other, under=under, top=top)
    settings = settings_from(vocabulary=vocabulary)
    with opened_kept_store(store, settings) as kept:
        before = kept_profile(kept, person)
        after = _edited(before, wanted, settings, top=top)
        version = None if dry_run else kept.save_profile(after)
    document = EditDocument(user_id=person, edit=after.edits[-1], version=version, changes=before.diff(after))
    if as_json:
        terminal.write_json(document)
        return
    _show(terminal, document, before)


def undo(
    context: typer.Context,
    person: PersonArgument,
    dry_run: DryRunOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take back the last edit of a profile, and show what changes."""
    from llmrec.cli.documents import EditDocument
    from llmrec.cli.kept import kept_profile, opened_kept_store
    from llmrec.cli.session import settings_from

    terminal: Terminal = context.obj
    with opened_kept_store(store, settings_from()) as kept:
        before = kept_profile(kept, person)
        after = before.undone()
        version = None if dry_run else kept.save_profile(after)
    document = EditDocument(
        user_id=person, edit=before.edits[-1], undone=True, version=version, changes=before.diff(after)
    )
    if as_json:
        terminal.write_json(document)
        return
    _show(terminal, document, before)


def edits(
    context: typer.Context, person: PersonArgument, store: StoreOption = None, as_json: JsonOption = False
) -> None:
    """List the edits of a profile with their times; llmrec undo takes back the last one."""
    from llmrec.cli.documents import EditsDocument
    from llmrec.cli.interest_views import edits_view
    from llmrec.cli.kept import kept_profile, opened_kept_store
    from llmrec.cli.session import settings_from
    from llmrec.cli.views import heading, plural

    terminal: Terminal = context.obj
    with opened_kept_store(store, settings_from()) as kept:
        profile = kept_profile(kept, person)
    if as_json:
        terminal.write_json(EditsDocument(user_id=person, edits=profile.edits))
        return
    terminal.show(heading(person, plural(len(profile.edits), "edit")))
    if profile.edits:
        terminal.show("", edits_view(profile))


def wanted_edit(
    action: EditAction, interest: str, other: str | None, *, under: str | None, top: bool
) -> Edit:
    """The edit that the arguments ask for. Raises UsageError for too many, too few, or unfit ones."""
    from llmrec.behavior.events import validate_record
    from llmrec.interests.edits import EDIT

    call = f"{PROGRAM} edit PERSON {CALLS.get(action, f'{action.value} INTEREST')}"
    needs_other = action in (EditAction.RENAME, EditAction.MERGE)
    has_place = action in (EditAction.MOVE, EditAction.ADD)
    if needs_other and other is None:
        missing = "new name" if action is EditAction.RENAME else "interest to merge into"
        raise UsageError(f"the {missing} is missing: call {call}")
    if other is not None and not needs_other:
        raise UsageError(f"{action.value} takes no {other!r}: call {call}")
    if (under is not None or top) and not has_place:
        raise UsageError(f"--under and --top are for move and add: call {call}")
    if under is not None and top:
        raise UsageError(f"--under and --top are two places: call {call}")
    if action is EditAction.MOVE and under is None and not top:
        raise UsageError(f"the place is missing: call {call}")
    if not all(name.strip() for name in (interest, other, under) if name is not None):
        raise UsageError(f"a name is empty: call {call}")
    record: dict[str, Any] = {"kind": action.value}
    record["label" if action is EditAction.ADD else "interest"] = interest
    if needs_other:
        record["label" if action is EditAction.RENAME else "into"] = other
    if under is not None:
        record["under"] = under
    try:
        wanted: Edit = validate_record(EDIT, record, "the edit")
    except InputError as error:
        raise UsageError(str(error)) from error
    return wanted


def _edited(profile: InterestProfile, edit: Edit, settings: Settings, *, top: bool) -> InterestProfile:
    from llmrec.interests.edits import Add
    from llmrec.interests.revision import place_in
    from llmrec.interests.taxonomy import Vocabulary
    from llmrec.settings import CATALOG_VOCABULARY

    by_name = isinstance(edit, Add) and edit.under is None and not top
    # No catalogue is at hand here.
    by_name = by_name and settings.vocabulary != CATALOG_VOCABULARY
    vocabulary = Vocabulary.load(settings.vocabulary) if by_name else None
    try:
        path = (
            place_in(vocabulary, edit.label, profile.language) if vocabulary and isinstance(edit, Add) else ()
        )
        return profile.edited(edit, path=path)
    except InputError as error:
        raise UsageError(str(error)) from error


def _show(terminal: Terminal, document: Any, before: InterestProfile) -> None:
    from llmrec.cli.interest_views import (
        MOST_CHANGED_WEIGHTS,
        changes_view,
        edit_words,
        interest_names,
        names_as_found,
    )
    from llmrec.cli.views import heading

    names = names_as_found(before) if document.undone else interest_names(before)
    words = ("undone: " if document.undone else "") + edit_words(document.edit, names)
    if document.version is None:
        state = "nothing is kept (--dry-run)"
    else:
        state = f"kept as version {document.version}"
    terminal.show(
        heading(document.user_id, f"{words}; {state}"),
        "",
        changes_view(document.changes, most_weights=MOST_CHANGED_WEIGHTS),
    )
