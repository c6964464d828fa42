"""SQLite files of what people did: for their owner alone, and what is deleted from them is overwritten."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from llmrec.llm.private_files import create_private_file


def connect(path: Path | None, *, busy_seconds: float) -> sqlite3.Connection:
    """Open or create a file, or a database in memory for None; transactions are the caller's to begin.

    A new file, and what SQLite puts beside it, is for its owner alone to read; its folder is made where it
    is missing. `busy_seconds` is how long another process may hold the file. The connection may be used
    from several threads in turn. Raises OSError and sqlite3.Error.
    """
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        create_private_file(path)
    connection = sqlite3.connect(
        str(path) if path is not None else ":memory:",
        timeout=busy_seconds,
        check_same_thread=False,
        isolation_level=None,
    )
    try:
        connection.execute("PRAGMA secure_delete = ON")
    except BaseException:
        connection.close()
        raise
    return connection
