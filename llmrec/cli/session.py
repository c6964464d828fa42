"""What every command that asks a model needs: settings, a store and a recommender, from its options."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmrec.cli.failures import UsageError
from llmrec.cli.progress import ProgressReport
from llmrec.cli.ranking_options import RankBy
from llmrec.cli.terminal import PROGRAM, Terminal
from llmrec.errors import InputError, StoreError
from llmrec.llm.private_files import create_private_file

if TYPE_CHECKING:
    from llmrec.behavior.events import Catalog
    from llmrec.candidates.log import InteractionLog
    from llmrec.recommender import Recommender
    from llmrec.settings import Settings
    from llmrec.store import Store

IN_MEMORY = ":memory:"
STORE_FILE = "llmrec.sqlite3"


def settings_from(**options: Any) -> Settings:
    """Settings of the environment with the given options in their place; None means not given.

    Raises UsageError for a value that cannot be, and for a file or folder that is not there.
    """
    from llmrec.settings import CATALOG_VOCABULARY, load_settings

    given = {name: getattr(value, "value", value) for name, value in options.items() if value is not None}
    try:
        settings = load_settings(None, **given)
    except InputError as error:
        raise UsageError(str(error)) from error
    own = settings.vocabulary
    if own is not None and own != CATALOG_VOCABULARY and not own.is_file():
        raise UsageError(f"there is no vocabulary at {settings.vocabulary}: check the path")
    if settings.prompts is not None and not settings.prompts.is_dir():
        raise UsageError(f"there is no folder of prompts at {settings.prompts}: check the path")
    if settings.weights is not None and not settings.weights.is_file():
        raise UsageError(f"there is no file of weights at {settings.weights}: check the path")
    strategies = [choice.value for choice in RankBy]
    if settings.ranking_strategy not in strategies:
        raise UsageError(
            "the setting ranking_strategy (LLMREC_RANKING_STRATEGY) is not usable: choose among "
            f"{', '.join(strategies)}"
        )
    return settings


def default_store_path() -> Path:
    """Where the store lies when nobody says otherwise."""
    import platformdirs

    return Path(platformdirs.user_data_dir(PROGRAM)) / STORE_FILE


@contextlib.contextmanager
def opened_store(terminal: Terminal, given: str | None, settings: Settings) -> Iterator[Store]:
    """Open the store of an option, of the settings, or the default one, and close it afterwards.

    Where only the default one cannot be used, a note says so and nothing is kept.
    Raises StoreError when a store that was named cannot be used.
    """
    from llmrec.store import Store

    named = given if given is not None else (str(settings.store) if settings.store is not None else None)
    if named is None:
        create_private_file(default_store_path(), folder_mode=0o700)
        try:
            store = Store(default_store_path())
        except StoreError as error:
            terminal.note(f"nothing of this run is kept: {error}", label="warning")
            store = Store()
    else:
        store = Store(None if named == IN_MEMORY else Path(named).expanduser())
    with contextlib.closing(store):
        yield store


@contextlib.contextmanager
def opened_recommender(
    progress: ProgressReport,
    catalog: Catalog,
    settings: Settings,
    store: Store,
    log: InteractionLog | None = None,
) -> Iterator[tuple[Recommender, Turn]]:
    """Open the model over a catalogue; what goes on is shown with the name of the person whose turn it is."""
    from llmrec.recommender import Recommender

    turn = Turn(progress)
    progress.update("opening the model")
    with Recommender(
        None, catalog, settings=settings, store=store, log=log, progress=turn.show
    ) as recommender:
        yield recommender, turn


class Turn:
    """Whose turn it is, for the progress that is shown."""

    def __init__(self, progress: ProgressReport) -> None:
        self._progress = progress
        self.person = ""

    def show(self, progress: Any) -> None:
        """Show a Progress of the recommender."""
        stage = f"{self.person}: {progress.stage}" if self.person else progress.stage
        self._progress.update(stage, progress.done, progress.total)
