"""What was noticed while rows were read: columns and what they became, repairs, what was left."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from gptoss_magic.tuning.data import Row

SHOWN = 3  # row numbers and reasons that a line of the plan names


@dataclass
class RowNotes:
    """What one row's reading noticed; filled while it is read.

    `columns`: column (or `messages.FIELD`) → what it became. `unread`: those that hold something
    and became nothing. `repairs`: what was mended, `oddities`: what was kept though it looks wrong,
    both in words that are the same for all rows.
    """

    columns: dict[str, str] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)
    oddities: list[str] = field(default_factory=list)


@dataclass
class Reading:
    """The rows of a data set, and what the plan says about how they were read.

    `left_out`: (row number, why) of rows that would have taught something wrong. Numbers count
    from 1, as the user's data has the rows.
    """

    rows: list[Row] = field(default_factory=list)
    columns: dict[str, str] = field(default_factory=dict)
    unread: dict[str, list[int]] = field(default_factory=dict)
    repairs: dict[str, list[int]] = field(default_factory=dict)
    oddities: dict[str, list[int]] = field(default_factory=dict)
    left_out: list[tuple[int, str]] = field(default_factory=list)

    def add(self, row: Row, number: int, notes: RowNotes) -> None:
        """A row that was read, and its notes."""
        self.rows.append(row)
        self.columns |= notes.columns
        for kind in ("unread", "repairs", "oddities"):
            noted: dict[str, list[int]] = getattr(self, kind)
            for name in dict.fromkeys(getattr(notes, kind)):
                noted.setdefault(name, []).append(number)

    def lines(self) -> list[str]:
        """The plan's lines: what was read, what not, what was mended, which rows were left out."""
        masked = [row.number for row in self.rows if row.untrained]
        texts = [
            ("read", _became(self.columns)),
            ("not read", _listed(self.unread)),
            ("mended", _listed(self.repairs)),
            ("kept, but look at it", _listed(self.oddities)),
            ("context only, not trained", f"turns marked so in {_rows(masked)}" if masked else ""),
            (_count("left out", len(self.left_out)), first_few(self.reasons())),
        ]
        return [f"{name}: {text}" for name, text in texts if text]

    def remarks(self) -> list[str]:
        """The lines that ask for a look: all but what was read."""
        return [line for line in self.lines() if not line.startswith("read: ")]

    def figures(self) -> dict[str, int]:
        """Counts for the run's record: rows mended, rows with turns not trained, rows left out."""
        mended = {number for numbers in self.repairs.values() for number in numbers}
        masked = sum(bool(row.untrained) for row in self.rows)
        return {"mended": len(mended), "partly trained": masked, "left out": len(self.left_out)}

    def reasons(self) -> list[str]:
        """A line for each row that was left out."""
        return [f"row {number}: {why}" for number, why in self.left_out]


def first_few(reasons: list[str]) -> str:
    """The first few of them, and how many more there are."""
    more = f" (and {len(reasons) - SHOWN} more)" if len(reasons) > SHOWN else ""
    return "; ".join(reasons[:SHOWN]) + more


def _became(columns: dict[str, str]) -> str:
    """As 'instruction, input → the prompt; output → the answer'."""
    grouped: dict[str, list[str]] = {}
    for name, what in columns.items():
        grouped.setdefault(what, []).append(name)
    return "; ".join(f"{', '.join(names)} → {what}" for what, names in grouped.items())


def _listed(noted: dict[str, list[int]]) -> str:
    return "; ".join(f"{name} ({_rows(numbers)})" for name, numbers in noted.items())


def _rows(numbers: list[int]) -> str:
    """As 'row 2', 'rows 1, 2, 3' or 'rows 1, 2, 3 and 5 more'."""
    named = ", ".join(map(str, numbers[:SHOWN]))
    more = f" and {len(numbers) - SHOWN} more" if len(numbers) > SHOWN else ""
    return f"row{'s' if len(numbers) > 1 else ''} {named}{more}"


def _count(name: str, count: int) -> str:
    return f"{name}, {counted(count, 'row')}"
