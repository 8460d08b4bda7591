"""The table of the matrix: points down, faults across, and in each cell whether it was survived."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

SURVIVED: Final = "+"
FELL: Final = "X"
NOT_THERE: Final = "."
"""The fault cannot happen at this point."""


@dataclass(slots=True)
class Table:
    """What became of each cell. A cell that is struck more than once has survived only if it did each time."""

    cells: dict[tuple[str, str], bool] = field(default_factory=dict)
    strikes: int = 0

    def note(self, row: str, column: str, *, survived: bool) -> None:
        """One strike."""
        self.strikes += 1
        self.cells[row, column] = survived and self.cells.get((row, column), True)

    def text(self) -> str:
        """The table, the names of its columns, and the count."""
        rows = sorted({row for row, _ in self.cells})
        columns = sorted({column for _, column in self.cells})
        fell = [f"{column} at {row}" for (row, column), survived in sorted(self.cells.items()) if not survived]
        return "\n".join(
            (
                "# Every fault at every point",
                "",
                f"`{SURVIVED}` survived, `{FELL}` not, `{NOT_THERE}` cannot happen there.",
                "",
                "```text",
                *self._grid(rows, columns),
                "```",
                "",
                *(f"{number:3} {column}" for number, column in enumerate(columns, start=1)),
                "",
                *(f"NOT SURVIVED: {what}" for what in fell),
                f"{len(rows)} points x {len(columns)} faults: {len(self.cells)} cells, struck {self.strikes} times, "
                f"{len(self.cells) - len(fell)} survived, {len(fell)} not.",
            )
        )

    def _grid(self, rows: Sequence[str], columns: Sequence[str]) -> list[str]:
        width = max(map(len, rows), default=0)
        heads = [f"{number:02}" for number in range(1, len(columns) + 1)]
        grid = [" ".join((" " * width, *(head[digit] for head in heads))) for digit in range(2)]
        return grid + [" ".join((row.ljust(width), *(self._mark(row, c) for c in columns))) for row in rows]

    def _mark(self, row: str, column: str) -> str:
        survived = self.cells.get((row, column))
        return NOT_THERE if survived is None else SURVIVED if survived else FELL
