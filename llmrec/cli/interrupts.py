"""Ctrl-C that comes while llama.cpp calls back into Python, where an exception would be lost."""

from __future__ import annotations

import _thread
import contextlib
import sys
import threading
from collections.abc import Iterator

TRY_AGAIN_SECONDS = 0.05


@contextlib.contextmanager
def no_interrupt_lost() -> Iterator[None]:
    """Raise KeyboardInterrupt again, a moment later, when it was raised where it could not be passed on."""
    usual_hook = sys.unraisablehook

    def hook(unraisable: sys.UnraisableHookArgs) -> None:
        if unraisable.exc_type is KeyboardInterrupt:
            timer = threading.Timer(TRY_AGAIN_SECONDS, _thread.interrupt_main)
            timer.daemon = True
            timer.start()
        else:
            usual_hook(unraisable)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = usual_hook
