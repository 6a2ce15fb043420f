"""`%gptoss index`: indexes made, kept up to date, shown and dropped."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import GptOssError, InputError
from gptoss_magic.magics import options as opt
from gptoss_magic.magics.checks import check_alone, check_nothing
from gptoss_magic.magics.index_kept import close, copy, drop, optimize, waiting
from gptoss_magic.quoting import printable
from gptoss_magic.vocabulary import counted

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Sequence

    from gptoss_magic.retrieval.index import Index
    from gptoss_magic.retrieval.ingest import Ingested
    from gptoss_magic.retrieval.loaders import Document

COMMANDS = ["list", "info", "refresh", "drop", "optimize", "versions", "copy", "close"]
INDEX: list[opt.Option] = [
    (
        ("words",),
        {
            "nargs": "*",
            "metavar": "PATH",
            "help": "files, folders, patterns, a DataFrame's name; or list; or info, refresh, "
            "drop, optimize, versions or close, and an index's name; or copy, and two",
        },
    ),
    (("-n", "--as"), {"dest": "name", "help": "the index's name, path or URI; else the path's"}),
    (("-N", "--notebook"), {"action": "store_true", "help": "the cells of this session so far"}),
    (
        ("-E", "--embedder"),
        {
            "help": "wordllama-256; words: full text alone; st:MODEL; openai:URL#MODEL sends the "
            "texts there; hidden:middle, the resident model's states, is experimental: slow, and "
            "finds less"
        },
    ),
    (
        ("-S", "--store"),
        {
            "help": "keep it in faiss:PATH, chroma:PATH or weaviate:URL; the name leads there from "
            "then on"
        },
    ),
    (
        ("-L", "--max-mb"),
        {"type": float, "help": "leave out larger files; 20"},
    ),
    (
        ("-w", "--workers"),
        {"type": int, "metavar": "N", "help": "so many processes read the files; 1"},
    ),
]
PARSER = opt.parser(
    "%gptoss index",
    INDEX,
    "Index files, to search them and to answer from them.",
    [
        "%gptoss index reports --as docs",
        "%gptoss index --notebook --as here",
        "%gptoss index refresh docs",
        "%gptoss index reports --as docs2 --store faiss:vectors",
        "%gptoss index copy docs docs3 --store chroma:vectors",
    ],
)
COPY, REFRESH = "copy", "refresh"
MAX_SHOWN = 20
MAX_MB, MOST_MB = 20.0, 1_000_000


def run(line: str, magics: Any) -> None:
    """One line of `%gptoss index`."""
    from gptoss_magic.studies.hidden_states import offer

    given = opt.parse(PARSER, line)
    offer()
    command, *rest = given.words or [""]
    if given.notebook or command not in COMMANDS:
        return make(given, magics)
    beside = ("words", {COPY: "store", REFRESH: "workers"}.get(command, ""))
    check_alone("%gptoss index", given, command, beside)
    if command == "list":
        check_nothing("%gptoss index list", " ".join(rest))
        return show_list()
    if command == COPY:
        return copy(rest, given.store or "")
    if len(rest) != 1:
        raise InputError(f"%gptoss index {command}: give one index's name")
    actions: dict[str, Callable[[str], None]] = {
        "info": show_info,
        REFRESH: lambda name: refresh(name, magics, workers_of(given)),
        "drop": drop,
        "optimize": optimize,
        "versions": show_versions,
        "close": close,
    }
    actions[command](rest[0])


def words(_typed: list[str]) -> list[str]:
    return [*COMMANDS, *opt.flags(INDEX)]


def make(given: Namespace, magics: Any) -> None:
    """Index the paths and DataFrames that were given, and the live notebook.

    A store alone, of an index that is there: its name leads there from then on.
    """
    from gptoss_magic.magics.live import live_notebook
    from gptoss_magic.retrieval.embedders import embedder_named
    from gptoss_magic.retrieval.index import Index
    from gptoss_magic.retrieval.walk import check

    if not (given.words or given.notebook or (given.store and given.name)):
        raise InputError("%gptoss index: give paths, or --notebook; %gptoss index list shows all")
    limit = size_limit(MAX_MB if given.max_mb is None else given.max_mb)
    num_workers = workers_of(given)
    frames, paths = split(given.words, magics.shell.user_ns)
    frames += [live_notebook(magics)] if given.notebook else []
    for path in paths:
        check(path)
    name = given.name or (default_name(given.words[0]) if given.words else "notebook")
    if given.words and not given.name:
        check_same(name, given.words)
    chosen = embedder_named(given.embedder) if given.embedder else None
    made = Index.create(name, chosen, given.store or "")
    if not (paths or frames):
        return show_info(name)
    ingest(
        made,
        lambda **options: made.ingest(
            paths, frames, max_bytes=limit, num_workers=num_workers, **options
        ),
    )


def workers_of(given: Namespace) -> int:
    """Processes that read the files: this one where nothing is said."""
    return 1 if given.workers is None else int(given.workers)


def check_same(name: str, words: Sequence[str]) -> None:
    """Raise InputError where an index that the line does not name is of other paths."""
    from gptoss_magic.retrieval.index import table_origins
    from gptoss_magic.retrieval.tables import is_there

    held = table_origins(name) if is_there(name) else set()
    here = {*words, *(str(Path(word).expanduser().absolute()) for word in words)}
    here |= {str(Path(word).expanduser().resolve()) for word in words}
    if held and not held & here:
        raise InputError(
            f"index {name}: there is one, of {', '.join(sorted(map(printable, held))[:3])}: "
            f"--as {name} adds to it, --as with another name makes a new one"
        )


def size_limit(num_mb: float) -> int:
    """Megabytes as bytes. Raises InputError for what is no size."""
    if not 0 < num_mb < MOST_MB:
        raise InputError(f"--max-mb {num_mb:g}: give a size in MB above 0, below {MOST_MB:,}")
    return int(num_mb * 1e6)


def refresh(name: str, magics: Any, num_workers: int) -> None:
    from gptoss_magic.magics.live import held_live
    from gptoss_magic.retrieval.index import Index

    opened = Index.open(name)
    frames = held_live(opened, magics)
    ingest(
        opened,
        lambda **options: opened.refresh(frames=frames, num_workers=num_workers, **options),
    )


def ingest(opened: Index, action: Callable[..., Ingested]) -> None:
    """Run an ingest under a progress bar; ■ keeps what is done, and stops the cells that follow."""
    from gptoss_magic.widgets.progress import ProgressView

    with ProgressView(f"index {opened.name}") as bar:
        report = action(progress=bar.update, on_wait=waiting(opened.name))
        bar.finish(report_line(opened.name, report))
    show_skipped(report)
    if report.finish == "interrupt":
        raise KeyboardInterrupt


def report_line(name: str, report: Ingested) -> str:
    """One line: files, what changed, what went, what was left out."""
    words = [
        counted(report.files, "file"),
        f"{report.changed:,} of them new or changed: {counted(report.chunks, 'chunk')}",
        f"{len(report.removed):,} removed" if report.removed else "",
        f"{len(report.skipped):,} skipped" if report.skipped else "",
        f"{len(report.notes):,} read in part" if report.notes else "",
        "interrupted: what is done is kept, the same line goes on" * (report.finish != "return"),
    ]
    return f"index {name}: " + " · ".join(filter(None, words))


def show_skipped(report: Ingested) -> None:
    """Each file that was left out or read in part, and why; after 20 lines, how many more."""
    lines = [f"skipped {printable(skipped.path)}: {skipped.why}" for skipped in report.skipped]
    lines += [f"read {printable(source)}: {note}" for source, note in report.notes.items()]
    for line in lines[:MAX_SHOWN]:
        print(line)
    if len(lines) > MAX_SHOWN:
        print(f"and {len(lines) - MAX_SHOWN:,} more")


def show_info(name: str) -> None:
    for key, value in figures_of(name).items():
        print(f"{key:<15}{value}")


def show_list() -> None:
    """The user's indexes by name, in figures; one that cannot be read is named below them."""
    from gptoss_magic.retrieval.store import home, names, names_at_home

    figures, unread = [], []
    for name in sorted({*names(str(home())), *names_at_home()}):
        try:
            figures.append(figures_of(name))
        except GptOssError as error:
            unread.append(str(error))
    if figures:
        keys = ("index", "files", "chunks", "embedder", "version", "store", "paths")
        show_table(keys, [tuple(row[key] for key in keys) for row in figures])
    if not (figures or unread):
        unread = ["no index yet: %gptoss index PATH"]
    for line in unread:
        print(line)


def figures_of(name: str) -> dict[str, str | int]:
    """What an index holds; its embedder, which may not be installed, is not needed for that."""
    from gptoss_magic.retrieval.index import table_info
    from gptoss_magic.retrieval.tables import looked_at

    with looked_at(name) as table:
        return table_info(table)


def show_versions(name: str) -> None:
    from gptoss_magic.retrieval.index import Index

    rows = [(number, f"{time:%Y-%m-%d %H:%M:%S}") for number, time in Index.open(name).versions()]
    show_table(("version", "made"), rows)


def show_table(headers: Sequence[str], rows: Sequence[Sequence[Any]], caption: str = "") -> None:
    from IPython.display import display

    from gptoss_magic.widgets.tables import table_html, table_text

    text = "\n".join(filter(None, (caption, table_text(headers, rows))))
    data = {"text/html": table_html(headers, rows, caption), "text/plain": text}
    display(data, raw=True)


def split(words: Sequence[str], names: dict[str, Any]) -> tuple[list[Document], list[str]]:
    """DataFrames of the notebook as documents, and the rest: paths."""
    from gptoss_magic.retrieval.loaders import frame

    frames, paths = [], []
    for word in words:
        table = names.get(word)
        if hasattr(table, "iterrows") and not Path(word).exists():
            frames.append(frame(word, table))
        else:
            paths.append(word)
    return frames, paths


def default_name(word: str) -> str:
    """An index's name from the first path: the folder's or file's name, without wildcards."""
    parts = [
        part for part in Path(word).expanduser().absolute().parts if not set(part) & set("*?[")
    ]
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(parts[-1]).stem).strip("-")
    if not name:
        raise InputError(f"{printable(word)}: no name for an index in it; add --as NAME")
    return name
