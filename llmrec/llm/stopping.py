"""Where a stop string ends a text, found while the text still grows."""

from __future__ import annotations

from collections.abc import Iterable


class StopFilter:
    """Lets through what no stop string can take back any more, piece by piece.

    The stop string that is complete first ends the text, and is no part of it; of several that are complete
    at the same character, the longest. How the text is cut into pieces makes no difference.
    """

    def __init__(self, stops: Iterable[str]) -> None:
        """Prepare for one text; empty stop strings are none."""
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether a stop string was met; all that follows is dropped."""
        return self._stopped

    def feed(self, text: str) -> str:
        """Take the next piece of the text; returns what may be shown now, perhaps nothing."""
        if self._stopped:
            return ""
        text = self._held + text
        found = [(begin + len(stop), begin) for stop in self._stops if (begin := text.find(stop)) >= 0]
        if found:
            self._stopped, self._held = True, ""
            return text[: min(found)[1]]
        hold = max((_overlap(text, stop) for stop in self._stops), default=0)
        self._held = text[len(text) - hold :]
        return text[: len(text) - hold]

    def finish(self) -> str:
        """The text is over: returns what was held back, which was no stop string after all."""
        held, self._held = self._held, ""
        return held


def cut_at_stop(text: str, stops: Iterable[str]) -> str:
    """The text up to the stop string that is complete first, or all of it."""
    pieces = StopFilter(stops)
    return pieces.feed(text) + pieces.finish()


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of the text that a stop string begins with, without being all of it."""
    for length in range(min(len(text), len(stop) - 1), 0, -1):
        if stop.startswith(text[-length:]):
            return length
    return 0
