"""A class of a Weaviate server as it is made for a store: its name, properties, objects' ids."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any

from gptoss_magic.retrieval.folding import FOLDED
from gptoss_magic.retrieval.stores.contract import TEXT

if TYPE_CHECKING:
    from gptoss_magic.retrieval.stores.contract import StoreFacts

ROW_ID = "row_id"
LONG = ("text", FOLDED)  # columns that are read and searched, not compared as a whole


def class_name(table: str) -> str:
    """Letters and digits as they are, every other sign as its number: no two tables share one."""
    return "Gptoss_" + re.sub(r"[^A-Za-z0-9]", lambda sign: f"_{ord(sign[0]):x}_", table)


def object_id(row_id: str) -> str:
    """The object's UUID, always the same for a row's id."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, row_id))


def schema(kind: str, facts: StoreFacts) -> dict[str, Any]:
    """The class: our vectors, compared by cosine; words are looked for in `folded` alone."""
    columns = [_property(ROW_ID, TEXT)]
    columns += [_property(column, of) for column, of in facts.columns.items()]
    return {
        "class": kind,
        "description": facts.as_json(),
        "vectorizer": "none",
        "vectorIndexType": "hnsw",
        "vectorIndexConfig": {"distance": "cosine"},
        "properties": columns,
    }


def _property(column: str, kind: str) -> dict[str, Any]:
    if kind != TEXT:
        return {"name": column, "dataType": ["int"], "indexFilterable": True}
    return {
        "name": column,
        "dataType": ["text"],
        "tokenization": "word" if column == FOLDED else "field",
        "indexFilterable": column not in LONG,
        "indexSearchable": column == FOLDED,
    }
