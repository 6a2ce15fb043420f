"""Python's own documentation as text files, from what every Python carries, and questions on it.

A file for each topic of the language reference (`pydoc_data.topics`), one for each module of the
standard library (docstrings, in Markdown, a heading for each name).
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import sys
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import (
    BuiltinMethodType,
    ClassMethodDescriptorType,
    FunctionType,
    GetSetDescriptorType,
    MethodDescriptorType,
)
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

METHODS = (FunctionType, MethodDescriptorType, BuiltinMethodType, property, classmethod)
METHODS += (staticmethod, ClassMethodDescriptorType, GetSetDescriptorType)
QUESTIONS = Path(__file__).parent / "data" / "questions.tsv"
PACKAGES = ("asyncio", "collections", "concurrent", "email", "html", "http", "importlib", "json")
PACKAGES += ("logging", "multiprocessing", "os", "unittest", "urllib", "wsgiref", "xml", "xmlrpc")
ADDRESS = re.compile(r" at 0x[0-9a-f]+")
NEXT_HEADING = re.compile(r"\n#{1,4} [^\n]+\n\n")
NOT_READ = {"antigravity", "idlelib", "lib2to3", "test", "this", "tkinter", "turtle", "turtledemo"}


@dataclass(frozen=True)
class Question:
    """A question and where its answer stands: a file and headings in it (none: anywhere)."""

    text: str
    file: str
    headings: tuple[str, ...]


def questions() -> list[Question]:
    """The hand-written questions."""
    made = []
    for line in QUESTIONS.read_text(encoding="utf-8").splitlines():
        text, file, *headings = line.split("\t")
        made.append(Question(text, file, tuple(headings)))
    return made


def write(folder: Path) -> int:
    """Write the files; gives their characters."""
    from pydoc_data.topics import topics

    folder.mkdir(parents=True, exist_ok=True)
    texts = {f"topic-{name}.md": topic(text) for name, text in topics.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        texts |= {f"{name}.md": module_text(name) for name in modules()}
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8", errors="replace")
    return sum(map(len, texts.values()))


def topic(text: str) -> str:
    """A topic, its underlined titles as Markdown headings."""
    lines = text.split("\n")
    for number, line in enumerate(lines[1:], 1):
        mark = line[:1]
        if mark and mark in "*=-~" and line == mark * len(line) and len(line) > 3:
            level = "*=-~".index(mark) + 1
            lines[number - 1], lines[number] = f"{'#' * level} {lines[number - 1]}", ""
    return "\n".join(lines)


def modules() -> Iterator[str]:
    """Public modules of the standard library that can be imported here."""
    for name in sorted(sys.stdlib_module_names):
        if not name.startswith("_") and name not in NOT_READ:
            yield name
    for package in PACKAGES:
        held = importlib.import_module(package)
        for found in pkgutil.iter_modules(getattr(held, "__path__", ())):
            if not found.name.startswith("_"):
                yield f"{package}.{found.name}"


def module_text(name: str) -> str:
    """A module's docstring, then its functions, its classes and their methods."""
    try:
        module = importlib.import_module(name)
    except Exception:  # noqa: BLE001 (not on this system)
        return f"# {name}\n"
    parts = [f"# {name}", doc(module)]
    for attribute, value in sorted(vars(module).items()):
        home = getattr(value, "__module__", None) or ""
        if (
            not attribute.startswith("_")
            and callable(value)
            and home.split("._")[0].strip("_") == name
        ):
            parts += entry(f"{name}.{attribute}", value, "##")
            if inspect.isclass(value):
                for method, held in sorted(vars(value).items()):
                    if not method.startswith("_") and isinstance(held, METHODS) and doc(held):
                        parts += entry(f"{name}.{attribute}.{method}", held, "###")
    return "\n\n".join(filter(None, parts)) + "\n"


def entry(name: str, value: Any, mark: str) -> list[str]:
    """Heading, signature and docstring."""
    try:
        signature = f"{name.rpartition('.')[2]}{inspect.signature(value)}"
    except Exception:  # noqa: BLE001 (some builtins name what is not there)
        signature = ""
    return [f"{mark} {name}", ADDRESS.sub("", signature), doc(value)]


def doc(value: Any) -> str:
    return inspect.getdoc(value) or ""


@cache
def sections(path: Path, headings: tuple[str, ...]) -> list[tuple[int, int]]:
    """Characters [start, end) below each heading, up to the next one; without any, the file."""
    text = path.read_text(encoding="utf-8")
    if not headings:
        return [(0, len(text))]
    found = []
    for heading in headings:
        start = text.find(f"# {heading}\n")
        if start < 0:
            continue
        end = NEXT_HEADING.search(text, start)
        found.append((start, end.start() if end else len(text)))
    return found


def answerable(folder: Path) -> list[Question]:
    """The questions whose answer this Python's texts have; other versions lack some names."""
    return [
        question
        for question in questions()
        if (folder / question.file).exists() and sections(folder / question.file, question.headings)
    ]


def is_hit(question: Question, folder: Path, file: str, start: int, end: int) -> bool:
    """Whether characters [start, end) of `file` hold a good part of a section that answers."""
    if Path(file).name != question.file:
        return False
    return any(
        min(end, last) - max(start, first) >= min(100, (last - first) // 2)
        for first, last in sections(folder / question.file, question.headings)
    )


if __name__ == "__main__":
    print(write(Path(sys.argv[1])))
