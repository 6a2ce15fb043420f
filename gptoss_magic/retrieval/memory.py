"""`Memory`: what one persona remembers; recalled by words and by meaning.

An item belongs to the notebook it was said in, and is found there alone unless all are asked for.
What is remembered is untrusted text: it enters a prompt as quoted data.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gptoss_magic.errors import InputError
from gptoss_magic.quoting import one_line, printable
from gptoss_magic.retrieval.facts import learned, recalled_facts
from gptoss_magic.retrieval.folding import folded
from gptoss_magic.retrieval.items import KINDS, Item, checked, item_id
from gptoss_magic.retrieval.lance_items import folder
from gptoss_magic.retrieval.memories import items_of
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gptoss_magic.retrieval.embedders import Embedder
    from gptoss_magic.retrieval.item_table import ItemTable

NUM_CANDIDATES = 50
RELEVANT = 0.2  # cosine to the prompt below which an item is not recalled
ALL = None


class Memory:
    """What the persona `name` remembers; `notebook` is where new items belong ('' for none)."""

    def __init__(self, name: str, notebook: str = "", embedder: Embedder | None = None) -> None:
        self.name, self.notebook = name, printable(notebook)
        self.place = f"{folder()}/{name}"
        self._embedder = embedder

    @property
    def table(self) -> ItemTable:
        """Where its items lie now. Raises InputError, MissingPackage, StorageError."""
        return items_of(self.name, self.place, self._embedder)

    def remember(self, items: Sequence[Item]) -> list[Item]:
        """Keep items, in one commit; one that is known already is kept once. With their ids."""
        items = [self.complete(item) for item in items]
        if not items:
            return []
        self.table.add(items)
        return items

    def learn(self, facts: Sequence[Item]) -> list[Item]:
        """Keep facts, oldest first, in one commit; those that are new, with their ids.

        What they take the place of is over, and stays; a fact without a text ends an older one. See
        `facts.learned`.
        """
        now = datetime.now(UTC).isoformat("T", "seconds")
        made = [self.complete(i) if i.text else replace(i, time=i.time or now) for i in facts]
        changed = learned(self.table.facts(self.notebook), made) if made else []
        if changed:
            self.table.put(changed)
        return [item for item in changed if item.holds]

    def recall(
        self,
        query: str,
        k: int = 4,
        *,
        notebook: str | None = "",
        without: Sequence[str] = (),
    ) -> list[Item]:
        """Up to k items that bear on `query`, best first, but for the ids `without`.

        Facts come first, by whom the query is about (see `facts.recalled_facts`); the others by
        words and vectors, fused by reciprocal rank, but for those whose cosine is below `RELEVANT`.
        `notebook`: '' for this one, None for all.
        """
        query = folded(query)
        if not query.strip():
            return []
        home = self.notebook if notebook == "" else notebook and printable(notebook)
        table, left_out = self.table, set(without)
        facts = [item for item in table.facts(home) if item.id not in left_out]
        known = recalled_facts(query, facts, table.alike, k) if facts else []
        found = table.near(query, NUM_CANDIDATES + len(without) + len(facts), home)
        good = [i for i in found if i.kind != "fact" and i.score >= RELEVANT]
        return [*known, *(i for i in good if i.id not in left_out)][:k]

    def items(self, *, notebook: str | None = "", kind: str = "") -> list[Item]:
        """All items, oldest first; see `recall` for `notebook`."""
        home = self.notebook if notebook == "" else notebook and printable(notebook)
        kept = [
            item
            for item in self.table.all()
            if (home is ALL or item.notebook == home) and kind in ("", item.kind)
        ]
        return sorted(kept, key=lambda item: (item.time, item.turn, item.id))

    def num_turns(self, conversation: str) -> int:
        """Episodes of that conversation here."""
        return self.table.num_episodes(conversation, self.notebook)

    def show(self, key: str) -> Item:
        """The item whose id begins so. Raises InputError for none or several."""
        found = [item for item in self.items(notebook=ALL) if item.id.startswith(key)]
        if len(found) != 1:
            what = f"{counted(len(found), 'item')} begin so" if found else "no such item"
            raise InputError(f"memory {key[:64]}: {what}; %gptoss memory list shows them")
        return found[0]

    def edit(self, key: str, text: str) -> Item:
        """Give an item another text; the old one is gone from the disk."""
        item = replace(self.show(key), text=checked(text))
        self.table.rewrite({item.id: [item]})
        return item

    def exchange(self, old: Item, new: Sequence[Item]) -> list[Item]:
        """Put items in the place of a held one, in one commit; the old text is gone from the disk.

        They get its notebook and turn. One that is known already is kept once. With their ids.
        """
        placed = [replace(item, notebook=old.notebook, turn=old.turn) for item in new]
        made = [self.complete(replace(item, id="")) for item in placed]
        held = {item.id for item in self.items(notebook=ALL)} - {old.id}
        self.table.rewrite({old.id: [item for item in made if item.id not in held]})
        return made

    def forget(self, keys: Sequence[str]) -> int:
        """Delete items, from the disk too; how many. Raises InputError where one is not there."""
        found: dict[str, list[Item]] = {self.show(key).id: [] for key in keys}
        if found:
            self.table.rewrite(found)
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
            subject=one_line(item.subject),
            attribute=one_line(item.attribute),
        )
        return replace(made, id=item.id or item_id(made))
