"""A panel on the screen: its title and a table of which only cells that differ are set anew."""

from __future__ import annotations

from dataclasses import replace

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.widgets import DataTable, Label

from ...collectors.frame import Frame
from .panels import Column, Panel, Row, View, arranged, cells, kept

_GAP = 1


class Table(DataTable[Text]):
    """A DataTable that shows its cursor only while it has the focus."""

    DEFAULT_CSS = """
    Table { height: auto; scrollbar-size-horizontal: 0; }
    Table:ansi > .datatable--header { background: ansi_default; color: ansi_cyan; }
    Table:ansi:focus > .datatable--cursor {
        background: ansi_default; color: ansi_cyan; text-style: reverse;
    }
    """

    def on_focus(self) -> None:
        """Show the cursor."""
        self.show_cursor = True

    def on_blur(self) -> None:
        """Show none."""
        self.show_cursor = False


class PanelView(Vertical):
    """One panel; keeps the rows that it has once shown, so that the screen stands still."""

    DEFAULT_CSS = """
    PanelView { height: auto; }
    PanelView > Label { width: 100%; text-style: bold; }
    PanelView.focused > Label { text-style: bold reverse; }
    """

    def __init__(self, panel: Panel) -> None:
        super().__init__(id=panel.name)
        self.panel = panel
        self.view = View(panel.sort)
        self._frame: Frame | None = None
        self._seen: dict[Row, None] = {}
        self._columns: tuple[Column, ...] = ()
        self._cells: list[list[str]] = []

    def compose(self) -> ComposeResult:
        """Yield the title and the table."""
        yield Label(self.panel.title)
        yield Table(cursor_type="row", cell_padding=0, show_cursor=False)

    def show(self, frame: Frame) -> None:
        """Show `frame`."""
        self._frame = frame
        self.draw()

    def look(self, view: View) -> None:
        """Show the same frame in another way."""
        self.view = view
        self.draw()

    def on_descendant_focus(self) -> None:
        """Have the title say where the keys go."""
        self.add_class("focused")

    def on_descendant_blur(self) -> None:
        """And no more."""
        self.remove_class("focused")

    @on(DataTable.HeaderSelected)
    def _sort_by(self, message: DataTable.HeaderSelected) -> None:
        """Sort by the column that was clicked; once more turns the order round."""
        sort = str(message.column_key.value)
        again = sort == self.view.sort
        self.look(replace(self.view, sort=sort, inverted=again and not self.view.inverted))

    def draw(self) -> None:
        """Bring title and table up to date."""
        if self._frame is None:
            return
        rows = kept(self.panel, self._frame, self._seen)
        self._seen.update(dict.fromkeys(map(self.panel.key, rows)))
        rows = arranged(self.panel, rows, self.view)
        width = self.app.size.width
        self._set_columns(self.panel.shown(width))
        self._set_cells([cells(self.panel, row, width) for row in rows])
        self.query_one(Label).update(self._title(bool(rows)))
        self.query_one(Table).display = bool(rows)
        self.display = bool(rows or self._seen) or not self.panel.rare

    def _title(self, any_rows: bool) -> str:
        if not any_rows:
            return f"{self.panel.title}: none"
        column = next(c for c in self.panel.columns if c.name == self.view.sort)
        arrow = "↑" if column.text != self.view.inverted else "↓"
        return f"{self.panel.title} by {column.name} {arrow}"

    def _set_columns(self, columns: tuple[Column, ...]) -> None:
        if columns == self._columns:
            return
        self._columns, self._cells = columns, []
        table = self.query_one(Table)
        table.clear(columns=True)
        for column in columns:
            table.add_column(_cell(column, column.name), width=column.width + _GAP, key=column.name)

    def _set_cells(self, wanted: list[list[str]]) -> None:
        """Set the cells that differ; add and remove rows at the end."""
        table = self.query_one(Table)
        for number, texts in enumerate(wanted[: len(self._cells)]):
            for column, now, before in zip(self._columns, texts, self._cells[number], strict=True):
                if now != before:
                    table.update_cell(str(number), column.name, _cell(column, now))
        for number, texts in enumerate(wanted[len(self._cells) :], len(self._cells)):
            pairs = zip(self._columns, texts, strict=True)
            table.add_row(*(_cell(column, text) for column, text in pairs), key=str(number))
        for number in range(len(wanted), len(self._cells)):
            table.remove_row(str(number))
        self._cells = wanted


def _cell(column: Column, text: str) -> Text:
    """Return the text set to its side of the column, with the gap to the next one."""
    width = column.width
    shown = text if len(text) <= width else f"{text[: width - 1]}…"
    return Text(shown.ljust(width) if column.text else shown.rjust(width), no_wrap=True, end="")
