"""The screen of keys."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.events import Key
from textual.screen import Screen
from textual.widgets import Static

_TEXT = """\
rmapwatch top                                          any key returns

F1  h ?     this help
F4  / \\     filter: rows that have a text; Enter keeps it, Esc ends it
F6  > <     sort the panel by its next or previous column, or click on it
I           turn the order round
Tab         next panel; arrows move in it, and to columns that are cut off
P   space   pause, and go on with what has come meanwhile
T           figures since the start, or of the last window
+ -         longer or shorter interval; a recording has its own
F10 q       quit

walks/s     calls of rmap_walk_anon, rmap_walk_file and rmap_walk_ksm
in walks    wall time inside them, of all threads together
reclaimed/s base pages freed
in stalls   time of calls for memory, those of kswapd left out
vmas, ptes  VMAs entered and page table entries found by a walk, mean
looked at   VMAs that it looked at to find those, mean; with --steps

"-" means that this kernel or these probes do not tell. It never means zero.\
"""


class Help(Screen[None]):
    """The keys, until one is pressed."""

    DEFAULT_CSS = "Help > Static { padding: 1 2; }"

    _left = False

    def compose(self) -> ComposeResult:
        """Yield the text."""
        yield Static(_TEXT, markup=False)

    def on_key(self, event: Key) -> None:
        """Go back."""
        event.stop()
        if not self._left:  # keys may come faster than the screen goes
            self._left = True
            self.dismiss()
