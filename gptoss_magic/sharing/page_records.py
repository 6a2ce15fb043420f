"""The records of a notebook inside its page, and back: a page can be replayed as its notebook can.

They stand in a block of data that no browser runs: JSON without any `<`, with a digest of what it
says, so that a block that was changed or cut is refused. White space in it may change.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

from gptoss_magic.errors import InputError
from gptoss_magic.sharing.notebooks import (
    KEY,
    MIME,
    answer_in,
    cells_of,
    member,
    outputs_of,
    record_in,
)
from gptoss_magic.sharing.pages.markup import Start, tokens
from gptoss_magic.textfiles import json_value

BLOCK = "gptoss-notebook"
VERSION = 1
GENERATOR, MAX_HEAD_CHARS = 'content="gptoss_magic"', 4000
ESCAPES = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>&\u2028\u2029"}


def block_of(notebook: dict[str, Any], name: str) -> str:
    """The block of data for the page of a notebook whose file is called `name`."""
    data = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {KEY: {"page": VERSION, "notebook": name}},
        "cells": [_kept(cell) for cell in cells_of(notebook)],
    }
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":")).translate(ESCAPES)
    attributes = f'type="application/json" id="{BLOCK}" data-digest="{_digest(data)}"'
    return f"<script {attributes}>{text}</script>"


def notebook_of_page(html: str, place: str = "page") -> dict[str, Any]:
    """What `block_of` kept: a notebook with all cells, and of their outputs the records.

    `metadata["gptoss_magic"]["notebook"]` is the name of its file. Raises InputError for a page
    without a block, with one that was cut or changed, and for any other file; `place` names it.
    """
    block = _block(html)
    if block is None and GENERATOR in html[:MAX_HEAD_CHARS]:
        raise InputError(f"{place}: this page was cut before its records; get the whole file")
    if block is None:
        raise InputError(f"{place}: no page of %gptoss page: there are no records in it")
    if block.is_cut:
        raise InputError(f"{place}: this page was cut within its records; get the whole file")
    data = json_value(block.raw or "", f"{place}: its records")
    if not isinstance(data, dict) or not isinstance(data.get("cells"), list):
        raise InputError(f"{place}: its records are no notebook; make the page anew")
    if _digest(data) != block.attributes.get("data-digest"):
        raise InputError(f"{place}: its records were changed after it was made; make it anew")
    if _version_of(data) != VERSION:
        raise InputError(
            f"{place}: records of version {_version_of(data)}; this gptoss_magic reads {VERSION}: "
            "upgrade gptoss_magic"
        )
    return data


def _block(html: str) -> Start | None:
    """The element of that id: nothing in a cell becomes a script."""
    blocks = (
        token
        for token in tokens(html)
        if isinstance(token, Start)
        and token.name == "script"
        and token.attributes.get("id") == BLOCK
    )
    return next(blocks, None)


def _version_of(data: dict[str, Any]) -> Any:
    return member(data.get("metadata"), KEY).get("page")


def _digest(data: Any) -> str:
    text = json.dumps(data, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _kept(cell: Any) -> dict[str, Any]:
    """A cell with its records; of a cell without any, its kind and number alone."""
    cell = cell if isinstance(cell, dict) else {"cell_type": "raw"}
    kept: dict[str, Any] = {"cell_type": cell.get("cell_type"), "metadata": {}, "source": ""}
    kept |= {"id": cell["id"]} if isinstance(cell.get("id"), str) else {}
    if cell.get("cell_type") != "code":
        return kept
    outputs = [_kept_output(output) for output in outputs_of(cell) if record_in(output)]
    kept |= {"execution_count": cell.get("execution_count"), "outputs": outputs}
    return {**kept, "source": cell.get("source", "")} if outputs else kept


def _kept_output(output: dict[str, Any]) -> dict[str, Any]:
    """The record once, in the metadata, and the rest of the answer."""
    answer = answer_in(output)
    rest = {key: value for key, value in answer.items() if key != "record"}
    data = {MIME: rest} if answer else {}
    return {"output_type": "display_data", "data": data, "metadata": {KEY: record_in(output)}}
