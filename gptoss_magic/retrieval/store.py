"""One LanceDB table on disk: where it lies, how it is opened, what it says of itself."""

from __future__ import annotations

import json
import os
import random
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from gptoss_magic.errors import InputError, MissingPackage, StorageError
from gptoss_magic.retrieval.folding import FOLDED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCHEMA_VERSION = 1
NUM_TRIES = 20
KEY = b"gptoss_magic"
NOTE = ".store"  # how the name of a file ends that says where an index lies (`stores.named`)
UNIQUE = {"lance-schema:unenforced-primary-key:position": "1"}
REMOTE = (
    "keys and endpoint of an object store come from the environment: AWS_ACCESS_KEY_ID, "
    "AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT; GOOGLE_…; AZURE_STORAGE_…"
)
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")


@dataclass(frozen=True)
class Place:
    """Where an index lies: a folder or object store URI that holds tables, and the table's name."""

    uri: str
    table: str

    @property
    def is_remote(self) -> bool:
        return "://" in self.uri


def place(name: str) -> Place:
    """`docs`: among the user's indexes; `./x/docs`, `s3://bucket/docs`: in that folder.

    `s3://`, `gs://` and `az://` take their keys from the environment, as LanceDB reads them
    (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT, …): never from a line.

    Raises InputError for what cannot be a table's name.
    """
    uri, _, table = name.rpartition("/")
    if not NAME.fullmatch(table):
        raise InputError(f"index {name!r}: a name has letters, digits, '_', '-' and '.' only")
    if "://" in uri:
        return Place(uri, table)
    return Place(str(Path(uri).expanduser().resolve() if uri else home()), table)


def home() -> Path:
    """Where the user's indexes lie."""
    from platformdirs import user_data_path

    return user_data_path("gptoss_magic") / "indexes"


def names_at_home() -> list[str]:
    """The user's indexes by their folders and notes, sorted; no store is asked."""
    files = (*home().glob("*.lance"), *home().glob(f"*{NOTE}"))
    return sorted({file.stem for file in files})


def connect(uri: str) -> Any:
    """A LanceDB connection that always sees the newest commit. Raises MissingPackage."""
    os.environ.setdefault("LANCEDB_LOG", "error")
    try:
        import lancedb
    except ImportError as error:
        raise MissingPackage("indexes need lancedb: pip install gptoss_magic[rag]") from error
    with storage_errors(uri):
        return lancedb.connect(uri, read_consistency_interval=timedelta(0))


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """LanceDB's errors as one line of ours."""
    try:
        yield
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, (InputError, StorageError)):
            raise
        reason = str(error).strip().split("\n")[0][:300]
        hint = f"; {REMOTE}" if "://" in what else ""
        raise StorageError(f"index {what}: {reason}{hint}") from error


def commit(what: str, action: Callable[[], Any]) -> None:
    """Run `action`, again where another writer came first: it is all or nothing."""
    for tried in range(NUM_TRIES):
        try:
            with storage_errors(what):
                action()
                return
        except StorageError as error:
            if "conflict" not in str(error).lower() or tried == NUM_TRIES - 1:
                raise
        time.sleep(random.uniform(0, min(0.05 * 2**tried, 1.0)))  # noqa: S311 (a pause)


def names(uri: str) -> list[str]:
    """The tables there, sorted."""
    if "://" not in uri and not Path(uri).is_dir():
        return []
    db = connect(uri)
    found: list[str] = []
    while True:
        page = db.list_tables(page_token=found[-1] if found else None, limit=1000)
        found += page.tables
        if not page.page_token or not page.tables:
            return sorted(found)


class MadeFor(Protocol):
    """Whose vectors a table holds: an embedder, or its name and dimensions alone."""

    @property
    def name(self) -> str: ...

    @property
    def dim(self) -> int: ...


def schema(embedder: MadeFor) -> Any:
    """Columns of a table: a chunk, its source, and its vector where the embedder makes any.

    Words are searched in `folded`, the text in one form of each letter; `text` is quoted.

    `id` is marked as the key, in the words of Lance's `set_unenforced_primary_key`: writers at the
    same time then make no duplicates (lancedb#3377).
    """
    import pyarrow as pa

    texts = ("source", "origin", "digest", "kind", "heading", "text", FOLDED)
    numbers = ("number", "start", "first_line", "last_line")
    fields = [pa.field("id", pa.string(), nullable=False, metadata=UNIQUE)]
    fields += [pa.field(name, pa.string(), nullable=False) for name in texts]
    fields += [pa.field(name, pa.int32(), nullable=False) for name in numbers]
    if embedder.dim:
        fields.append(pa.field("vector", pa.list_(pa.float32(), embedder.dim)))
    made = {"embedder": embedder.name, "dim": embedder.dim, "schema": SCHEMA_VERSION}
    return pa.schema(fields, metadata={KEY: json.dumps(made).encode()})


def about(table: Any, name: str) -> dict[str, Any]:
    """What the table was made with: embedder, dim, schema. Raises InputError for a foreign one."""
    try:
        known = json.loads((table.schema.metadata or {})[KEY])
        made = {key: known[key] for key in ("embedder", "dim", "schema")}
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(f"index {name}: a table that gptoss_magic did not make") from error
    if made["schema"] != SCHEMA_VERSION:
        raise InputError(
            f"index {name}: made by another version of gptoss_magic (schema {made['schema']}, "
            f"here {SCHEMA_VERSION}); %gptoss index drop {name}, then index its paths again"
        )
    return made


def open_table(name: str, version: int | None = None) -> Any:
    """The table as it is, or read-only as it was. Raises InputError where there is none."""
    where = place(name)
    if where.table not in names(where.uri):
        known = {*names(where.uri), *(names_at_home() if where.uri == str(home()) else ())}
        there = ", ".join(sorted(known)) or "none"
        raise InputError(f"index {name}: there is no such index; there are: {there}")
    with storage_errors(name):
        table = connect(where.uri).open_table(where.table)
    if version is not None:
        known_versions = [entry["version"] for entry in table.list_versions()]
        if version not in known_versions:
            held = f"{min(known_versions)} to {max(known_versions)}"
            raise InputError(f"index {name} has no version {version}; kept are some of {held}")
        table.checkout(version)
    return table


def create_table(
    name: str, embedder: MadeFor, columns: Callable[[MadeFor], Any] | None = None
) -> Any:
    """The table, made now, or by another process at the same moment; `columns`: its schema."""
    where = place(name)
    with storage_errors(name):
        if not where.is_remote:
            Path(where.uri).mkdir(parents=True, exist_ok=True)
        db = connect(where.uri)
        return db.create_table(where.table, schema=(columns or schema)(embedder), exist_ok=True)


def drop_table(name: str, on_wait: Callable[[], None] = lambda: None) -> None:
    """Delete the index. Raises InputError where there is none, and for a table of others."""
    where = place(name)
    if KEY not in (open_table(name).schema.metadata or {}):
        raise InputError(f"index {name}: a table that gptoss_magic did not make; it stays")
    with writing(name, on_wait), storage_errors(name):
        connect(where.uri).drop_table(where.table)


@contextmanager
def writing(name: str, on_wait: Callable[[], None]) -> Iterator[None]:
    """Within, no other process on this machine writes the index; `on_wait()` before a wait.

    On an object store nothing is locked: there writers meet at the commit.
    """
    from filelock import FileLock, Timeout

    where = place(name)
    if where.is_remote:
        yield
        return
    Path(where.uri).mkdir(parents=True, exist_ok=True)
    lock = FileLock(Path(where.uri) / f".{where.table}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        on_wait()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
