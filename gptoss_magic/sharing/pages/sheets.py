"""CSS of others, kept to the output that it came with, and without anything that fetches.

A page has one style sheet, whose hash stands in its content policy, and no `style` attribute: each
distinct inline style becomes a class. Colours are moved as far as they must be to be read on the
page's grounds.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gptoss_magic.sharing.pages.contrast import (
    ENOUGH,
    both_themes,
    contrast,
    css,
    ink_on,
    readable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gptoss_magic.sharing.pages.left_out import LeftOut

Declarations = dict[str, str]

PROPERTY = re.compile(
    r"--[\w-]+|color|background(-(color|image|size|position|repeat|clip|origin))?"
    r"|border(-[a-z-]+)?|outline(-[a-z]+)?|(margin|padding|inset)(-[a-z-]+)?"
    r"|(min-|max-)?(width|height|inline-size|block-size)|top|right|bottom|left|float|clear|z-index"
    r"|display|visibility|overflow(-[a-z-]+)?|position|box-sizing|box-shadow|aspect-ratio|contain"
    r"|font(-[a-z-]+)?|line-height|letter-spacing|word-(spacing|break|wrap)|white-space"
    r"|text-[a-z-]+|tab-size|hyphens|direction|unicode-bidi|writing-mode|vertical-align|quotes"
    r"|(flex|grid)(-[a-z-]+)?|(align|justify|place)-[a-z]+|order|gap|(row|column)-gap|columns"
    r"|column-[a-z-]+|list-style(-(type|position))?|table-layout|caption-side|empty-cells"
    r"|fill(-[a-z]+)?|stroke(-[a-z]+)?|stop-color|stop-opacity|clip-path|clip-rule|mask"
    r"|marker(-[a-z]+)?|paint-order|shape-rendering|dominant-baseline|alignment-baseline"
    r"|transform(-[a-z]+)?|rotate|scale|translate|object-fit|break-[a-z]+|resize|accent-color"
    r"|forced-color-adjust"
)
FUNCTIONS = {
    *("rgb", "rgba", "hsl", "hsla", "hwb", "lab", "lch", "oklab", "oklch", "color", "color-mix"),
    *("light-dark", "var", "calc", "min", "max", "clamp", "repeat", "minmax", "fit-content"),
    *("linear-gradient", "radial-gradient", "conic-gradient", "repeating-linear-gradient"),
    *("repeating-radial-gradient", "translate", "translatex", "translatey", "rotate", "scale"),
    *("scalex", "scaley", "skew", "skewx", "skewy", "matrix", "counter", "counters"),
    *("inset", "circle", "ellipse", "polygon"),
}
SELECTOR_FUNCTIONS = {
    *("not", "is", "where", "has", "nth-child", "nth-last-child", "nth-of-type"),
    *("nth-last-of-type", "lang", "dir"),
}
WHOLE = {":root", "html", "body", ":host"}  # where a sheet of others styles its whole document
MAX_VALUE_CHARS, MAX_SHEET_CHARS = 2000, 400_000


class Sheets:
    """The styles of one page; `prefix` below is what stands before the ids of one output."""

    def __init__(self) -> None:
        self._classes: dict[str, str] = {}
        self._sheets: list[str] = []

    def class_of(self, style: str, prefix: str, left: LeftOut) -> str:
        """The class that does what an inline style did; '' where nothing of it is left."""
        import tinycss2

        contents = tinycss2.parse_blocks_contents(style, skip_comments=True)
        body = _body(_vetted(contents, prefix, left))
        return self._classes.setdefault(body, f"s{len(self._classes) + 1}") if body else ""

    def add(self, sheet: str, prefix: str, left: LeftOut) -> None:
        """Rules of a `<style>`, for the element whose id is `prefix` and what is within."""
        import tinycss2

        if len(sheet) > MAX_SHEET_CHARS:
            left.add("long style sheet", f"{len(sheet):,} characters")
            return
        rules = tinycss2.parse_stylesheet(sheet, skip_comments=True, skip_whitespace=True)
        kept = "".join(_rules(rules, prefix, left))
        if kept:
            self._sheets.append(f"#{prefix} {{\n{kept}}}\n")

    def css(self) -> str:
        """All of it: sheets stand below inline styles, whatever their selectors are."""
        sheets = "".join(dict.fromkeys(self._sheets))
        classes = "".join(f".{name} {{ {body} }}\n" for body, name in self._classes.items())
        return f"@layer sheets {{\n{sheets}}}\n{classes}".replace("<", "\\3c ")


def _rules(rules: Sequence[Any], prefix: str, left: LeftOut) -> Iterator[str]:
    import tinycss2

    for rule in rules:
        if rule.type == "qualified-rule":
            contents = tinycss2.parse_blocks_contents(rule.content, skip_comments=True)
            body = _body(_vetted(contents, prefix, left))
            selector = _selector(rule.prelude, prefix)
            if body and selector:
                yield f"{selector} {{ {body} }}\n"
        elif rule.type == "at-rule" and rule.lower_at_keyword in ("media", "supports"):
            inner = tinycss2.parse_rule_list(rule.content or [], skip_comments=True)
            kept, when = "".join(_rules(inner, prefix, left)), tinycss2.serialize(rule.prelude)
            if kept and _is_plain(rule.prelude):
                yield f"@{rule.lower_at_keyword}{when}{{\n{kept}}}\n"
        elif rule.type == "at-rule" and rule.lower_at_keyword in ("import", "font-face"):
            left.add("style of the network", tinycss2.serialize(rule.prelude).strip())


def _selector(prelude: Sequence[Any], prefix: str) -> str:
    """The selector with its ids renamed; '' for one that could reach out of the output."""
    import tinycss2

    if not _is_plain(prelude, SELECTOR_FUNCTIONS) or not _renamed(prelude, prefix):
        return ""
    parts = tinycss2.serialize(prelude).strip().split(",")
    return ", ".join("&" if part.strip().lower() in WHOLE else part.strip() for part in parts)


def _renamed(tokens: Sequence[Any], prefix: str) -> bool:
    """Give each `#id` its new name, in place; False where `&` or a namespace stands."""
    for token in tokens:
        if token.type == "hash":
            token.value = f"{prefix}-{token.value}"
        if token.type == "literal" and token.value in "&|":
            return False
        inner = getattr(token, "arguments", None) or getattr(token, "content", None) or []
        if not _renamed(inner, prefix):
            return False
    return True


def _is_plain(tokens: Sequence[Any], functions: set[str] = FUNCTIONS) -> bool:
    """True where no token fetches, is damaged or calls what is not on the list."""
    for token in tokens:
        if token.type in ("url", "error", "{} block"):
            return False
        if token.type == "function" and token.lower_name not in functions:
            return False
        inner = getattr(token, "arguments", None) or getattr(token, "content", None) or []
        if not _is_plain(inner, functions):
            return False
    return True


def _vetted(contents: Sequence[Any], prefix: str, left: LeftOut) -> Declarations:
    """The declarations that may stay: {property: value}."""
    import tinycss2

    kept: Declarations = {}
    for one in contents:
        if one.type != "declaration" or not PROPERTY.fullmatch(one.lower_name):
            continue
        value = tinycss2.serialize(one.value).strip()
        if one.lower_name == "position" and value.lower() in ("fixed", "sticky"):
            continue  # it would stand over, or out of, the output that it is in
        inside = _inside(one.value, prefix)
        if inside:
            kept[one.lower_name] = inside
        elif _fetches(one.value):
            left.add("style of the network", value)
        elif _is_plain(one.value) and value and len(value) <= MAX_VALUE_CHARS:
            kept[one.lower_name if one.name.islower() else one.name] = value
    return _with_contrast(kept)


def _inside(value: Sequence[Any], prefix: str) -> str:
    """`url(#id)` of the same output, with the id's new name; else ''."""
    bare = [token for token in value if token.type != "whitespace"]
    if len(bare) != 1:
        return ""
    (token,) = bare
    if token.type == "function" and token.lower_name == "url" and len(token.arguments) == 1:
        token = token.arguments[0]
    address = token.value if token.type in ("url", "string") else ""
    is_id = re.fullmatch(r"#[\w.-]+", str(address)) is not None
    return f'url("#{prefix}-{address[1:]}")' if is_id and bare[0].type != "string" else ""


def _fetches(value: Sequence[Any]) -> bool:
    return any(
        token.type == "url"
        or (token.type == "function" and token.lower_name in ("url", "image", "image-set", "src"))
        for token in value
    )


def _with_contrast(kept: Declarations) -> Declarations:
    """Text in a fixed colour, or on a fixed ground, moved until it can be read."""
    ground = next((kept[name] for name in ("background-color", "background") if name in kept), "")
    behind, ink = _fixed(ground), _fixed(kept.get("color", ""))
    if behind is not None and ink is not None:
        colour = ink if contrast(ink, behind) >= ENOUGH else readable(ink, behind)
        return kept if colour == ink else {**kept, "color": css(colour)}
    if behind is not None and "color" not in kept:
        return {**kept, "color": css(ink_on(behind))}
    return {**kept, "color": both_themes(ink)} if ink is not None else kept


def _fixed(value: str) -> tuple[float, float, float] | None:
    """An opaque colour; None for one that lets the page through, a variable or no colour."""
    from tinycss2.color4 import parse_color

    colour = parse_color(value) if value else None
    if colour is None or getattr(colour, "alpha", 0) < 0.5:
        return None
    try:
        red, green, blue = colour.to("srgb").coordinates
    except (AttributeError, NotImplementedError, ValueError):
        return None
    return _in_range(red or 0), _in_range(green or 0), _in_range(blue or 0)


def _in_range(part: float) -> float:
    return min(1.0, max(0.0, part))


def _body(kept: Declarations) -> str:
    return "; ".join(f"{name}: {value}" for name, value in kept.items())
