"""Files and folders for their owner alone, where what people did can be read or guessed."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path


def create_private_file(path: Path, *, folder_mode: int = 0o777) -> None:
    """Create an empty file that only its owner may read; one that is there stays as it is.

    Its folder is made where it is missing, with `folder_mode` less what the umask forbids. Nothing is raised:
    why a file cannot be created is told by what opens it next.
    """
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=folder_mode, parents=True, exist_ok=True)
        # Only a new one: closing a file that SQLite has open in this process would end its locks.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))


def fault_of_private_folder(path: Path) -> str:
    """Why files of other users may lie in a folder, and what to do; empty where none can, or it is not there.

    On Windows, which has no such modes, it is always empty.
    """
    geteuid = getattr(os, "geteuid", None)
    if geteuid is None:
        return ""
    try:
        status = path.stat()
    except OSError:
        return ""
    if status.st_uid != geteuid():
        return "the folder belongs to another user: choose one of your own"
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"others may write to the folder: run chmod 700 '{path}', or choose another folder"
    return ""
