"""Bytes of text files to text: one reader for whatever a user names.

    bytes ─ byte order mark ─ UTF-8, whole ─ UTF-16 or UTF-32 without a mark ─ mostly UTF-8
          ─ what it declares (HTML, XML, Python) ─ cp1252's signs alone ─ charset detection
          ─ cp1252 ─ U+FFFD with a note

Line ends stay as they are. JSON and JSON Lines are read with errors that name file and line; YAML
of untrusted hands is looked over before it is made into values.
"""

from __future__ import annotations

import codecs
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gptoss_magic.errors import InputError, error_line
from gptoss_magic.quoting import printable

if TYPE_CHECKING:
    from collections.abc import Iterator

# UTF-32's little-endian mark begins with UTF-16's: the longer one is looked for first
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
BYTE_ORDER_MARK = "\ufeff"
REPLACEMENT = "\ufffd"
# bytes that no text of any encoding has, but for line ends, tabs, escapes and field separators
CONTROL_BYTES = bytes(set(range(0x1C)) - set(b"\b\t\n\v\f\r\x1b"))
NO_TEXT = re.compile(r"[\x00-\x07\x0e-\x1a\x7f-\x9f\ud800-\udfff\ue000-\uf8ff\ufffe\uffff]")
MOST_CONTROL = 0.02
DECLARATION = re.compile(
    rb"""(?:<meta[^>]{0,200}charset\s*=|<\?xml[^>]{0,200}encoding\s*=|#[^\n]{0,80}coding[:=])"""
    rb"""\s*["']?([\w.:-]+)""",
    re.IGNORECASE,
)
DECLARED_BYTES = 1024
SAMPLE_BYTES, TELLING_BYTES, LONG_LINE_BYTES = 50_000, 300, 1000
# up to a blank or a sign below the digits: these are no second byte of any encoding
PIECE = re.compile(rb"(?s).{1,400}(?<=[\x00-\x2f])|[^\x00-\x2f]+[\x00-\x2f]?")
MARKED_ONLY = ["utf_7", "utf_16", "utf_16_le", "utf_16_be", "utf_32", "utf_32_le", "utf_32_be"]
RUN = re.compile(r"\ufffd[^\x00-\x7f]|[^\x00-\x7f]\ufffd")
LINE_END = re.compile(r"\r\n|\n|\r")


class Unreadable(InputError):
    """A file that holds no text that could be read; says why, without the file's name."""


@dataclass(frozen=True)
class Decoded:
    """Text, the encoding it was read in, and a `note` where bytes had to be replaced; else ''."""

    text: str
    encoding: str
    note: str = ""


def read_text(path: str | Path) -> Decoded:
    """The text of a file, whatever its encoding. Raises InputError in one line that names it."""
    name = printable(path)
    try:
        return decode(Path(path).expanduser().read_bytes())
    except Unreadable as error:
        raise InputError(f"{name}: {error}; give a text file") from error
    except OSError as error:
        raise InputError(f"{name}: {error.strerror or error}; give a file to read") from error
    except (ValueError, RuntimeError) as error:  # a NUL in the name; `~` of nobody
        raise InputError(f"{name}: no path ({error}); give another") from error


def decode(data: bytes) -> Decoded:
    """Text of bytes in any common encoding, without byte order marks. Raises Unreadable."""
    decoded = _decoded(data)  # joined files have more marks than one
    return replace(decoded, text=decoded.text.lstrip(BYTE_ORDER_MARK))


def _decoded(data: bytes) -> Decoded:
    for mark, encoding in MARKS:
        if data.startswith(mark):
            return _replaced(data[len(mark) :], encoding)
    if _is_mostly_control(data, b"\x00"):
        return _unmarked(data)
    try:
        return Decoded(data.decode("utf-8"), "utf-8")
    except UnicodeDecodeError:
        pass
    if _is_mostly_control(data, CONTROL_BYTES):
        raise Unreadable("binary")
    for reader in (_mostly_utf8, _declared, _only_signs, _detected):
        decoded = reader(data)
        if decoded:
            return decoded
    return _replaced(data, "cp1252")


def read_json(path: str | Path) -> Any:
    """The value in a JSON file. Raises InputError that names the file and the place in it."""
    return json_value(read_text(path).text, printable(path))


def json_value(text: str, place: str) -> Any:
    """The value of a JSON text; `place` says in the error where it comes from."""
    try:
        return json.loads(text.strip(f"{BYTE_ORDER_MARK} \t\r\n"))
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if error.lineno > 1 else ""
        where = f"{line}column {error.colno}"
        raise InputError(f"{place}: no JSON ({error.msg}: {where}); mend it there") from error
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; too deep
        raise InputError(f"{place}: no JSON ({error_line(error)}); give a smaller value") from error


def json_object(text: str | bytes) -> dict[str, Any]:
    """A JSON text of a model or a process as an object; {} for what is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def read_json_lines(path: str | Path) -> list[tuple[int, Any]]:
    """(line from 1, value) of each line of a JSON Lines file that is not blank.

    Raises InputError that names the file and the first line that is no JSON.
    """
    return list(json_lines(read_text(path).text, printable(path)))


def json_lines(text: str, place: str) -> Iterator[tuple[int, Any]]:
    """(line from 1, value) of each line that is not blank.

    Only CR and LF end a line: other line ends may stand in a JSON string as they are. A byte order
    mark within comes from files that were joined.
    """
    for number, line in enumerate(LINE_END.split(text), 1):
        if line.strip(f"{BYTE_ORDER_MARK} \t"):
            yield number, json_value(line, f"{place}, line {number}")


def _is_mostly_control(data: bytes, control: bytes) -> bool:
    return len(data) - len(data.translate(None, control)) > MOST_CONTROL * len(data)


def _replaced(data: bytes, encoding: str) -> Decoded:
    """Decoded whatever happens; a note where bytes were replaced by U+FFFD."""
    try:
        return Decoded(data.decode(encoding), encoding)
    except UnicodeDecodeError:
        text = data.decode(encoding, "replace")
    num_bad = text.count(REPLACEMENT)
    return Decoded(text, encoding, f"damaged as {encoding}: {num_bad} × {REPLACEMENT} in it")


def _unmarked(data: bytes) -> Decoded:
    """UTF-16 or UTF-32 without a mark: NULs in the same lane of each character, and letters."""
    for encoding in ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        is_written = not NO_TEXT.search(text) and any(c.isascii() and c.isprintable() for c in text)
        if is_written:
            return Decoded(text, encoding)
    raise Unreadable("binary")


def _mostly_utf8(data: bytes) -> Decoded | None:
    """UTF-8 with a few bad bytes: well-formed characters beyond ASCII are far more than those.

    Fewer will do where each bad byte stands alone in ASCII: text of another encoding has runs.
    """
    text = data.decode("utf-8", "replace")
    num_bad = text.count(REPLACEMENT)
    num_good = sum(not character.isascii() for character in text) - num_bad
    is_alone = num_good * 2 >= num_bad and not RUN.search(text)
    return _replaced(data, "utf-8") if num_good > 2 * num_bad or is_alone else None


def _declared(data: bytes) -> Decoded | None:
    """In the encoding that the file's head declares, where it reads all of it."""
    declaration = DECLARATION.search(data[:DECLARED_BYTES])
    if declaration is None:
        return None
    try:
        encoding = codecs.lookup(declaration[1].decode("ascii")).name
        # on the web Latin-1 has always meant cp1252
        encoding = "cp1252" if encoding == "iso8859-1" else encoding
        return Decoded(data.decode(encoding), encoding)
    except (LookupError, ValueError):
        return None


def _only_signs(data: bytes) -> Decoded | None:
    """As cp1252, where that reads nothing but signs (€ ° – “ ”) beyond ASCII: no other script."""
    decoded = _replaced(data, "cp1252")
    signs = (c for c in decoded.text if not c.isascii())
    return None if decoded.note or any(map(str.isalpha, signs)) else decoded


def _detected(data: bytes) -> Decoded | None:
    """In the likeliest encoding that reads all of it; None without charset-normalizer."""
    try:
        from charset_normalizer import from_bytes
    except ImportError:
        return None
    sample = _sample(data)
    # a language is told by how often its letters stand: a short text is taken several times
    repeated = b"\n".join([sample] * max(1, TELLING_BYTES // (len(sample) + 1)))
    for taken in (repeated, sample):
        for match in sorted(from_bytes(taken, cp_exclusion=MARKED_ONLY), key=_cost):
            try:
                return Decoded(data.decode(match.encoding), match.encoding)
            except UnicodeDecodeError:
                continue
    return None


def _cost(match: Any) -> float:
    """How unlikely: mess less language; cp1252 is by far the commonest of those that look alike."""
    is_common = "cp1252" in (match.encoding, *match.could_be_from_charset)
    return float(match.chaos - match.coherence) - (0.1 if is_common else 0)


def _sample(data: bytes) -> bytes:
    """Lines that are not ASCII, spread over the whole file: they alone tell encodings apart."""
    pieces = (piece for line in data.splitlines() for piece in _pieces(line))
    telling = [piece for piece in pieces if not piece.isascii()]
    step = max(1, -(-sum(map(len, telling)) // SAMPLE_BYTES))
    return b"\n".join(telling[::step])


def _pieces(line: bytes) -> list[bytes]:
    """A line, in several where it is long; no character of two bytes is cut."""
    return PIECE.findall(line) if len(line) > LONG_LINE_BYTES else [line]


def check_yaml(text: str, label: str, *, has_aliases: bool = True) -> None:
    """Raise InputError for a key that stands twice and for `<<`, which a few can make endless.

    For aliases as well, where the text may not have them. Raises yaml.YAMLError, RecursionError and
    ValueError for what is no YAML.
    """
    import yaml

    _check_nodes(yaml.compose(text, yaml.SafeLoader), label, set(), has_aliases=has_aliases)


def _check_nodes(node: Any, label: str, seen: set[int], *, has_aliases: bool) -> None:
    import yaml

    if node is None or (id(node) in seen and has_aliases):
        return
    where = f"{label}: line {node.start_mark.line + 1}:"
    if id(node) in seen:
        raise InputError(f"{where} an alias (*) is not read here; write it out")
    seen.add(id(node))
    inner = node.value if isinstance(node, yaml.SequenceNode) else []
    if isinstance(node, yaml.MappingNode):
        inner = [one for pair in node.value for one in pair]
        keys = [str(key.value) for key, _ in node.value]
        for key in keys:
            if key == "<<":
                raise InputError(f"{where} '<<' is not read here; write its keys out")
            if keys.count(key) > 1:
                raise InputError(f"{where} {key[:64]!r} stands twice; leave one")
    for one in inner:
        _check_nodes(one, label, seen, has_aliases=has_aliases)
