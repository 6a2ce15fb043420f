"""The DataFrame of a map: its values as they were, and the two columns that are filled."""

from __future__ import annotations

import hashlib
from typing import Any

from gptoss_magic.errors import InputError, MissingPackage

MARK = "gptoss_magic"  # in a frame's attrs: digests of the columns that a map wrote
WRITTEN: set[bytes] = set()  # of what maps of this process wrote: column, row and value


class MapFrame:
    """`columns` (N names) and `rows` (tuples of N values) are the template's variables.

    The columns `into` and `into`_error are filled in place. Raises InputError, the frame as it
    was, where one of them is the user's own, or where columns cannot be told apart.
    """

    def __init__(self, frame: Any, into: str) -> None:
        import_pandas()
        _check_columns(frame, into)
        self.frame = frame
        self.filled = (into, f"{into}_error")
        asked = frame.drop(columns=list(self.filled), errors="ignore")
        self.columns = [str(name) for name in asked.columns]
        self.rows = list(asked.itertuples(index=False, name=None))
        for name in self.filled:
            self._check_own(name)

    def open(self) -> None:
        """Make the two columns, empty."""
        pd = import_pandas()
        for name in self.filled:
            empty = [None] * len(self.frame)
            self.frame[name] = pd.Series(empty, index=self.frame.index, dtype=object)

    def put(self, row: int, answer: Any, error: str | None) -> None:
        """Answer and error of one row, counted from 0."""
        for name, value in zip(self.filled, (answer, error), strict=True):
            self.frame.iat[row, self.frame.columns.get_loc(name)] = value
            WRITTEN.add(_written(name, self.rows[row], value))

    def close(self) -> None:
        """Mark the two columns as a map's, so that a map may fill them again."""
        if not isinstance(self.frame.attrs.get(MARK, {}), dict):
            return  # the user keeps something else under this name
        marks = {name: _digest(self.frame[name]) for name in self.filled}
        self.frame.attrs[MARK] = {**self._marks(), **marks}

    def _marks(self) -> dict[str, str]:
        """What earlier maps left."""
        marks = self.frame.attrs.get(MARK)
        return marks if isinstance(marks, dict) else {}

    def _check_own(self, name: str) -> None:
        """Raise InputError where `name` is a column that no map wrote, or that was changed since.

        A frame that was put together of others has lost its mark: then each value is looked at.
        """
        if name not in self.frame.columns:
            return
        column = self.frame[name]
        if self._marks().get(name) == _digest(column):
            return
        is_missing = import_pandas().isna
        for row, value in zip(self.rows, column, strict=True):
            is_empty = value is None or (isinstance(value, float) and bool(is_missing(value)))
            if not is_empty and _written(name, row, value) not in WRITTEN:
                raise InputError(
                    f"the frame has a column {name!r} that no map wrote, or that was changed "
                    "since: name another for the answers by --into, or delete it first "
                    f"(del df[{name!r}])"
                )


def import_pandas() -> Any:
    """pandas, or MissingPackage."""
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingPackage("a map needs pandas: pip install 'gptoss_magic[map]'") from error
    return pd


def _check_columns(frame: Any, into: str) -> None:
    pd = import_pandas()
    if not isinstance(frame, pd.DataFrame):
        more = " (a column: its .to_frame())" if isinstance(frame, pd.Series) else ""
        raise InputError(
            f"{type(frame).__name__}: give a pandas DataFrame, or its .to_pandas(){more}"
        )
    if not into.strip():
        raise InputError("--into: give the column for the answers a name")
    if frame.columns.nlevels > 1:
        raise InputError(
            "the frame's columns have several levels: give them flat names first, such as "
            "df.columns = ['_'.join(map(str, c)) for c in df.columns]"
        )
    names = [str(name) for name in frame.columns]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"two columns are called {twice[0]!r}: rename one of them first")


def _digest(column: Any) -> str:
    return hashlib.sha256(_shown(column.tolist())).hexdigest()


def _shown(value: Any) -> bytes:
    """A value as bytes; one that cannot show itself, whatever it raises, by its type alone."""
    try:
        return repr(value).encode("utf-8", "surrogatepass")
    except Exception:  # noqa: BLE001 (a repr is anybody's code)
        items = value if isinstance(value, list | tuple) else ()
        return b"\0".join([type(value).__name__.encode(), *map(_shown, items)])


def _written(name: str, row: tuple[Any, ...], value: Any) -> bytes:
    """A digest of one value that a map wrote beside the others of its row."""
    return hashlib.sha256(_shown((name, row, value))).digest()
