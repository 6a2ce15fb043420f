"""`Memory`: what one persona remembers, in a LanceDB table; recalled by words and by meaning.

An item belongs to the notebook it was said in, and is found there alone unless all are asked for.
What is remembered is untrusted text: it enters a prompt as quoted data.
"""

from __future__ import annotations

import json
import warnings
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError
from gptoss_magic.quoting import printable
from gptoss_magic.retrieval import store
from gptoss_magic.retrieval.embedders import embedder_named
from gptoss_magic.retrieval.folding import (
    FOLDED,
    WORDS,
    asked_words,
    folded,
    searchable,
    words_column,
)
from gptoss_magic.retrieval.items import KINDS, Item, checked, item_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gptoss_magic.retrieval.embedders import Embedder

NUM_CANDIDATES = 50
RELEVANT = 0.2  # cosine to the prompt below which an item is not recalled
ALL = None


class Memory:
    """What the persona `name` remembers; `notebook` is where new items belong ('' for none)."""

    def __init__(self, name: str, notebook: str = "", embedder: Embedder | None = None) -> None:
        self.name, self.notebook = name, printable(notebook)
        self.place = f"{folder()}/{name}"
        self._embedder = embedder

    def remember(self, items: Sequence[Item]) -> list[Item]:
        """Keep items, in one commit; one that is known already is kept once. With their ids."""
        items = [self.complete(item) for item in items]
        if not items:
            return []
        with self._writing() as table:
            data = self._data(table, items)
            merge = table.merge_insert("id").when_not_matched_insert_all()
            store.commit(self.name, lambda: merge.execute(data))
            _bring_up_to_date(table, self.name)
        return items

    def recall(
        self,
        query: str,
        k: int = 4,
        *,
        notebook: str | None = "",
        without: Sequence[str] = (),
    ) -> list[Item]:
        """Up to k items that bear on `query`, best first, but for the ids `without`.

        Words and vectors, fused by reciprocal rank; an item whose cosine is below `RELEVANT` is
        left out. `notebook`: '' for this one, None for all.
        """
        table, query = self._table(), folded(query)
        if table is None or not query.strip():
            return []
        limit = NUM_CANDIDATES + len(without)
        found = self._query(table, query)
        where = self._where(notebook)
        with store.storage_errors(self.name):
            rows = (found.where(where, prefilter=True) if where else found).limit(limit).to_list()
        vector = self._made(table).embed([query])[0]
        items = [replace(_item(row), score=_cosine(row, vector)) for row in rows]
        good = [i for i in items if i.score >= RELEVANT and i.id not in set(without)]
        return good[:k]

    def items(self, *, notebook: str | None = "", kind: str = "") -> list[Item]:
        """All items, oldest first; see `recall` for `notebook`."""
        table = self._table()
        if table is None:
            return []
        home = self.notebook if notebook == "" else notebook and printable(notebook)
        found = map(_item, table.search().limit(table.count_rows() + 1).to_list())
        kept = [
            item
            for item in found
            if (home is ALL or item.notebook == home) and kind in ("", item.kind)
        ]
        return sorted(kept, key=lambda item: (item.time, item.turn, item.id))

    def num_turns(self, conversation: str) -> int:
        """Episodes of that conversation here."""
        from lancedb.expr import col

        table = self._table()
        if table is None:
            return 0
        mine = col("conversation").isin([printable(conversation)]).to_sql()
        return int(table.count_rows(f"kind = 'episode' AND {mine} AND {self._where('')}"))

    def show(self, key: str) -> Item:
        """The item whose id begins so. Raises InputError for none or several."""
        found = [item for item in self.items(notebook=ALL) if item.id.startswith(key)]
        if len(found) != 1:
            what = f"{len(found)} items begin so" if found else "no such item"
            raise InputError(f"memory {key[:64]}: {what}; %gptoss memory list shows them")
        return found[0]

    def edit(self, key: str, text: str) -> Item:
        """Give an item another text; the old one is gone from the disk."""
        item = replace(self.show(key), text=checked(text))
        self._rewrite({item.id: [item]})
        return item

    def exchange(self, old: Item, new: Sequence[Item]) -> list[Item]:
        """Put items in the place of a held one, in one commit; the old text is gone from the disk.

        They get its notebook and turn. One that is known already is kept once. With their ids.
        """
        placed = [replace(item, notebook=old.notebook, turn=old.turn) for item in new]
        made = [self.complete(replace(item, id="")) for item in placed]
        held = {item.id for item in self.items(notebook=ALL)} - {old.id}
        self._rewrite({old.id: [item for item in made if item.id not in held]})
        return made

    def forget(self, keys: Sequence[str]) -> int:
        """Delete items, from the disk too; how many. Raises InputError where one is not there."""
        found: dict[str, list[Item]] = {self.show(key).id: [] for key in keys}
        if found:
            self._rewrite(found)
        return len(found)

    def complete(self, item: Item) -> Item:
        """The item with its place, time and id. Raises InputError for an empty text."""
        if item.kind not in KINDS:
            raise InputError(f"memory: no such kind {item.kind!r}; there are {', '.join(KINDS)}")
        text, time = checked(item.text), item.time or datetime.now(UTC).isoformat("T", "seconds")
        made = replace(
            item,
            text=text,
            time=time,
            notebook=printable(item.notebook) or self.notebook,
            conversation=printable(item.conversation),
        )
        return replace(made, id=item.id or item_id(made))

    def _where(self, notebook: str | None) -> str:
        from lancedb.expr import col

        if notebook is ALL:
            return ""
        return str(col("notebook").isin([printable(notebook) or self.notebook]).to_sql())

    def _query(self, table: Any, text: str) -> Any:
        from lancedb.rerankers import RRFReranker

        embedder = self._made(table)
        if not embedder.dim:
            words = asked_words(table, text)
            return table.search(words, query_type="fts", fts_columns=words_column(table))
        vector = embedder.embed([text])[0]
        if not _has_text_index(table) or not vector.any():
            return table.search(vector, vector_column_name="vector").distance_type("cosine")
        both = table.search(query_type="hybrid", vector_column_name="vector")
        both = both.vector(vector).text(asked_words(table, text)).distance_type("cosine")
        return both.rerank(RRFReranker())

    def _rewrite(self, changed: dict[str, list[Item]]) -> None:
        """One commit of all items, those in `changed` as what stands there, if anything.

        No version before it stays, so that what was deleted is deleted.
        """
        with self._writing() as table:
            items = [new for i in self.items(notebook=ALL) for new in changed.get(i.id, [i])]
            data = self._data(table, items)
            where = store.place(self.place)
            with store.storage_errors(self.name):
                db = store.connect(where.uri)
                made = db.create_table(where.table, data, mode="overwrite")
                _bring_up_to_date(made, self.name)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)  # nobody writes: it is locked
                    made.optimize(cleanup_older_than=timedelta(0), delete_unverified=True)

    def _data(self, table: Any, items: Sequence[Item]) -> Any:
        """Items as an Arrow table, each with its words and, where there are any, its vector."""
        import pyarrow as pa

        texts = [folded(item.text) for item in items]
        rows: list[dict[str, Any]] = [
            asdict(item) | {FOLDED: text, WORDS: searchable(text)}
            for item, text in zip(items, texts, strict=True)
        ]
        embedder = self._made(table)
        if embedder.dim:
            for row, vector in zip(rows, embedder.embed(texts), strict=True):
                row["vector"] = vector
        # a table of an older version has another text for its words, and none has a score
        held = [{name: row[name] for name in table.schema.names} for row in rows]
        return pa.Table.from_pylist(held, schema=table.schema)

    def _made(self, table: Any) -> Embedder:
        """The embedder that filled the table. Raises InputError where another was asked for."""
        known = json.loads((table.schema.metadata or {}).get(store.KEY, b"{}"))
        if known.get("memory") != 1:
            raise InputError(
                f"memory {self.name}: another version made it; move {self.place}.lance away"
            )
        if self._embedder is None:
            self._embedder = embedder_named(known["embedder"])
        if self._embedder.name != known["embedder"]:
            raise InputError(
                f"memory {self.name}: made with the embedder {known['embedder']}; give that one"
            )
        return self._embedder

    def _table(self) -> Any:
        """The table, or None where nothing was ever remembered."""
        where = store.place(self.place)
        if where.table not in store.names(where.uri):
            return None
        with store.storage_errors(self.name):
            return store.connect(where.uri).open_table(where.table)

    @contextmanager
    def _writing(self) -> Iterator[Any]:
        """The table, made where there is none; no other process writes it meanwhile."""
        with store.writing(self.place, lambda: None):
            table = self._table()
            if table is None:
                where, embedder = store.place(self.place), self._embedder or embedder_named()
                with store.storage_errors(self.name):
                    db = store.connect(where.uri)
                    table = db.create_table(where.table, schema=_schema(embedder), exist_ok=True)
            yield table


def folder() -> Path:
    """Where the memories lie, a table for each persona."""
    return store.home().parent / "memory"


def _schema(embedder: Embedder) -> Any:
    import pyarrow as pa

    made = {"embedder": embedder.name, "dim": embedder.dim, "memory": 1}
    columns = [pa.field("id", pa.string(), nullable=False, metadata=store.UNIQUE)]
    columns += [
        pa.field(one.name, pa.int32() if one.name == "turn" else pa.string(), nullable=False)
        for one in fields(Item)
        if one.name not in ("id", "score")
    ]
    columns.append(pa.field(WORDS, pa.string(), nullable=False))
    if embedder.dim:
        columns.append(pa.field("vector", pa.list_(pa.float32(), embedder.dim)))
    return pa.schema(columns, metadata={store.KEY: json.dumps(made).encode()})


def _bring_up_to_date(table: Any, name: str) -> None:
    """The text index, over all rows."""
    from lancedb.index import FTS

    if not _has_text_index(table):
        store.commit(name, lambda: table.create_index(words_column(table), config=FTS()))
    store.commit(name, table.optimize)


def _has_text_index(table: Any) -> bool:
    return any(index.columns == [words_column(table)] for index in table.list_indices())


def _item(row: dict[str, Any]) -> Item:
    return Item(**{one.name: row[one.name] for one in fields(Item) if one.name != "score"})


def _cosine(row: dict[str, Any], vector: Any) -> float:
    """1 where there are no vectors: then a word was found."""
    import numpy as np

    held = row.get("vector")
    if held is None:
        return 1.0
    size = float(np.linalg.norm(held) * np.linalg.norm(vector))
    return float(np.dot(held, vector)) / size if size else 0.0
