"""Stop strings, found in the text and not in the tokens.

A stop string may begin in the middle of one token and end in the middle of another, so only the text decides. This
module does not depend on any model.
"""

from __future__ import annotations


class StopFilter:
    """Passes the text of one answer on, up to the first stop string.

    Text that could be the beginning of a stop string is held back until more text decides; everything else passes at
    once.
    """

    __slots__ = ("_held", "_stops", "stopped")

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops: tuple[str, ...] = tuple(stop for stop in stops if stop)
        self._held: str = ""
        self.stopped: bool = False
        """True once a stop string was found; nothing passes any more."""

    def feed(self, text: str) -> str:
        """Take what the model wrote and return the part that may be shown."""
        if self.stopped:
            return ""
        text = self._held + text
        ends = [start for stop in self._stops if (start := text.find(stop)) >= 0]
        if ends:
            self.stopped, self._held = True, ""
            return text[: min(ends)]
        shown = len(text) - self._undecided(text)
        self._held = text[shown:]
        return text[:shown]

    def flush(self) -> str:
        """Return the text that was held back, once the model has ended."""
        held, self._held = self._held, ""
        return held

    def _undecided(self, text: str) -> int:
        """Count the characters at the end of ``text`` that may be the beginning of a stop string."""
        longest = max(map(len, self._stops), default=1) - 1
        for count in range(min(longest, len(text)), 0, -1):
            ending = text[-count:]
            if any(stop.startswith(ending) for stop in self._stops):
                return count
        return 0
