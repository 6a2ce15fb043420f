"""The attributes of one element that may stay on a page: names, links, media, styles."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gptoss_magic.sharing.pages.allowlist import (
    ATTRIBUTES,
    MATH_ATTRIBUTES,
    MATHML,
    SVG,
    SVG_ATTRIBUTES,
)

if TYPE_CHECKING:
    from gptoss_magic.sharing.pages.left_out import LeftOut
    from gptoss_magic.sharing.pages.origin import Origin

LINK = re.compile(r"(https?:|mailto:|#)|[^:]*([/?#]|$)", re.IGNORECASE)
MEDIA = re.compile(
    r"data:(image/(png|jpe?g|gif|webp|avif|bmp|svg\+xml)|audio/|video/)[^<>\"]*", re.IGNORECASE
)
LOCAL_URL = re.compile(r"url\(\s*[\"']?#([\w.-]+)[\"']?\s*\)")
OURS = re.compile(r"gp-|s\d+$")
APART = ("class", "id", "href", "xlink:href", "src", "name")  # these are read together


@dataclass(frozen=True)
class Vetting:
    """Attributes of HTML from `origin`; what cannot stay is counted in `left`."""

    origin: Origin
    left: LeftOut

    def attributes(self, name: str, values: dict[str, str]) -> dict[str, str] | None:
        """Those that may stay; None where the element is nothing without what it lost."""
        known = ATTRIBUTES | (SVG_ATTRIBUTES if name in SVG else set())
        known |= MATH_ATTRIBUTES if name in MATHML else set()
        kept: dict[str, str] = {}
        for key, value in values.items():
            if re.fullmatch("on[a-z]+", key):
                self.left.add("event handler")
            elif key in known and key not in APART:
                kept |= self._vetted(key, value)
        kept |= self._names(values)
        kept |= self._link(name, values)
        if name in ("img", "image", "audio", "video", "source"):
            source = self._media(name, values)
            if source is None:
                return None
            kept |= source
        return self._accessible(name, kept)

    def _vetted(self, key: str, value: str) -> dict[str, str]:
        """An attribute's value, ids renamed; nothing where it points elsewhere."""
        if key == "for":
            return {key: f"{self.origin.prefix}-{value}"}
        if "url(" not in value.lower():
            return {key: value}
        match = LOCAL_URL.fullmatch(value.strip())
        if match is None:
            self.left.add("style of the network", value)
            return {}
        return {key: f"url(#{self.origin.prefix}-{match[1]})"}

    def _names(self, values: dict[str, str]) -> dict[str, str]:
        """Its id and classes; a style, and old attributes of colour, are a class as well."""
        style = values.get("style", "")
        for old, new in (("bgcolor", "background-color"), ("color", "color")):
            if old in values and ";" not in values[old] and "fill" not in values:
                style = f"{new}: {values[old]}; {style}"
        classes = [word for word in values.get("class", "").split() if not OURS.match(word)]
        if style:
            classes.append(self.origin.sheets.class_of(style, self.origin.prefix, self.left))
        anchor = values.get("id") or values.get("name")
        named = {"id": f"{self.origin.prefix}-{anchor}"} if anchor and anchor.strip() else {}
        joined = " ".join(filter(None, classes))
        return {**named, "class": joined} if joined else named

    def _link(self, name: str, values: dict[str, str]) -> dict[str, str]:
        address = re.sub(r"[\x00-\x20]+", "", values.get("href", values.get("xlink:href", "")))
        if name == "use":
            return {"href": f"#{self.origin.prefix}-{address[1:]}"} if address[:1] == "#" else {}
        if name != "a" or not address:
            return {}
        if not LINK.match(address):
            self.left.add("link", address)
            return {}
        if address.startswith("#"):
            return {"href": f"#{self.origin.prefix}-{address[1:]}"} if address[1:] else {}
        return {"href": address, "rel": "noopener noreferrer"}

    def _media(self, name: str, values: dict[str, str]) -> dict[str, str] | None:
        """An address whose data are inside; {} for a player whose sources follow."""
        source = (values.get("src") or values.get("href") or values.get("xlink:href") or "").strip()
        if not source and name in ("audio", "video"):
            return {"controls": ""}
        inside = source if MEDIA.fullmatch(source) else self.origin.picture(source)
        if not inside:
            kind = {"audio": "sound", "source": "recording"}.get(name, name)
            self.left.add("image" if kind in ("img", "image") else kind, source or "without source")
            return None
        if name == "image":
            return {"href": inside}
        return {"src": inside, "controls": ""} if name in ("audio", "video") else {"src": inside}

    def _accessible(self, name: str, kept: dict[str, str]) -> dict[str, str]:
        """What readers of a screen need: images and boxes have names, roles mean something."""
        if name in ("img", "svg") and kept.get("role") == "img" and kept.get("aria-label"):
            return {"alt": kept["aria-label"], **kept} if name == "img" else kept
        kept = {key: value for key, value in kept.items() if key not in ("role", "aria-label")}
        if name == "img":
            kept.setdefault("alt", kept.get("title") or "image")
        if name == "input":
            kept |= {"type": "checkbox", "aria-label": "unfold"}
        if name in ("meter", "progress"):
            kept["aria-label"] = kept.get("title") or name
        return kept
