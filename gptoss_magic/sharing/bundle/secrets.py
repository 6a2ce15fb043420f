"""What looks secret in a text: keys, passwords, values of the environment, whose machine it was.

A secret is shown by its first letters only: what shows it may be kept in the notebook itself.
"""

from __future__ import annotations

import getpass
import json
import os
import re
from collections import Counter
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from gptoss_magic.sharing.bundle.secret_patterns import PATTERNS, PUBLIC_NAMES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

NAMES = re.compile(
    r"(?i)token|secret|passw|passphrase|api_?key|access_?key|private_?key|credential|cookie|pass$"
    r"|(?:^|_)(?:key|keys|pass|pwd|pw|pat|auth|dsn)(?:_|$)"
)
NO_SECRETS = re.compile(r"(?i)^(?:old)?pwd$|_(?:file|path|sock|dir|type|name|user)$")
ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
TAG = re.compile(r"</?[A-Za-z][^<>]{0,500}>")
MIN_CHARS, MIN_WORD_CHARS, SURE_CHARS = 6, 8, 12


@dataclass(frozen=True)
class Secret:
    """`count` times `kind` in `place`; `shown` is how it begins."""

    kind: str
    place: str
    shown: str
    count: int


class SecretFinder:
    """Looks for what this environment and its user's name give away, and for common forms."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        known = os.environ if environment is None else environment
        self._known = [
            (f"value of {name}", _pattern(value)) for name, value in environment_secrets(known)
        ]
        self._known += _own_names()

    def search(self, texts: Iterable[tuple[str, str]]) -> list[Secret]:
        """Secrets in (place, text), in order, each once a place."""
        found: dict[tuple[str, str, str], int] = {}
        for place, text in texts:
            for (kind, value), count in self._of(text).items():
                key = kind, place, value
                found[key] = found.get(key, 0) + count
        shown = [Secret(k, place, masked(value), n) for (k, place, value), n in found.items()]
        return list(dict.fromkeys(shown))

    def _of(self, text: str) -> Counter[tuple[str, str]]:
        """How often each (kind, value) stands in one text, however it is written there."""
        most: Counter[tuple[str, str]] = Counter()
        for variant in _variants(text):
            most |= Counter(self._in(variant))
        return most

    def _in(self, text: str) -> Iterator[tuple[str, str]]:
        """A value that two patterns know is told once, by the first."""
        taken: list[tuple[int, int]] = []
        known = [(kind, pattern, _always) for kind, pattern in self._known]
        for kind, pattern, is_real in (*known, *PATTERNS):
            for match in pattern.finditer(text):
                group = "value" if "value" in pattern.groupindex else 0
                start, end = match.span(group)
                if any(start < b and a < end for a, b in taken) or not is_real(match):
                    continue
                taken.append((start, end))
                yield kind, match[group]


def _always(_match: re.Match[str]) -> bool:
    return True


def masked(value: str) -> str:
    """How a secret begins, and its length."""
    size = min(4, len(value) // 3)
    begin = "".join(letter if letter.isprintable() else " " for letter in value[:size])
    return f"{begin}… ({len(value)} characters)"


def environment_secrets(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(name, value) of the variables that hold secrets, by their names; passwords within URLs."""
    for name, value in environment.items():
        text = value.strip()
        if "://" in text:
            text = _password_of(text)
        elif not NAMES.search(name) or NO_SECRETS.search(name) or Path(text[:500]).exists():
            continue
        if _is_secret(text):
            yield name, text


def _password_of(url: str) -> str:
    try:
        return unquote(urlsplit(url).password or "")
    except ValueError:
        return ""


def _is_secret(text: str) -> bool:
    """Long enough to be told from ordinary words, numbers and switches."""
    if text.isdigit() or text.isalpha():
        return len(text) >= MIN_WORD_CHARS
    return len(text) >= MIN_CHARS and len(set(text)) > 2  # noqa: PLR2004 (not '****', '------')


def _pattern(value: str) -> re.Pattern[str]:
    """A secret as it stands, in a JSON text or in an URL; a short one as a word of its own."""
    forms = {value, json.dumps(value)[1:-1], quote(value, safe="")}
    pattern = "|".join(map(re.escape, sorted(forms, key=len, reverse=True)))
    if len(value) < SURE_CHARS:
        pattern = rf"(?<![A-Za-z0-9_])(?:{pattern})(?![A-Za-z0-9_])"
    return re.compile(pattern)


def _own_names() -> list[tuple[str, re.Pattern[str]]]:
    """The user's home and name; the name where it stands as a name, not as a word."""
    known = []
    home = str(Path.home())
    if len(home) > 2:  # noqa: PLR2004 (no `/`)
        known.append(("home path", re.compile(rf"(?<![\w.-]){re.escape(home)}(?![\w-])")))
    name = _user_name()
    if len(name) > 2 and name.casefold() not in PUBLIC_NAMES:  # noqa: PLR2004
        word = re.escape(name)
        pattern = rf"(?<=[/\\~:@='\"]){word}(?=[/\\@:'\"\s,;)\]}}]|$)|(?<![\w.-]){word}(?=@)"
        known.append(("user name", re.compile(pattern)))
    return known


def _user_name() -> str:
    try:
        return getpass.getuser()
    except (KeyError, ImportError, OSError):
        return ""


def _variants(text: str) -> set[str]:
    """A text as it stands and as it is read: without colours and tags, unquoted."""
    plain = ANSI.sub("", text)
    variants = {plain}
    if "<" in plain or "&" in plain:
        variants.add(unescape(TAG.sub("", plain)))
    if "%" in plain:
        variants.add(unquote(plain))
    return variants
