"""Colours that can be read on a light and on a dark ground (WCAG 2.2: contrast ≥ 4.5)."""

from __future__ import annotations

ENOUGH, STRONG = 4.5, 11.0
# the grounds of page.css: text must be readable on the darker light one, the lighter dark one
LIGHT, DARK = (0.953, 0.957, 0.965), (0.141, 0.149, 0.165)
BLACK, WHITE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)

Colour = tuple[float, float, float]  # sRGB, each in [0, 1]


def luminance(colour: Colour) -> float:
    """Relative luminance in [0, 1], as WCAG 2.2 defines it."""
    red, green, blue = map(_linear, colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Colour, other: Colour) -> float:
    """From 1 (the same) to 21 (black on white)."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def ink_on(ground: Colour) -> Colour:
    """Black or white, whichever can be read better."""
    return max(BLACK, WHITE, key=lambda ink: contrast(ink, ground))


def readable(colour: Colour, ground: Colour, wanted: float = ENOUGH) -> Colour:
    """The colour; where it is too weak, with as much black or white as gives it `wanted`."""
    if contrast(colour, ground) >= ENOUGH:
        return colour
    target = ink_on(ground)
    for step in range(1, 21):
        mixed = mix(colour, target, step / 20)
        if contrast(mixed, ground) >= wanted:
            return mixed
    return target


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """`share` of the other."""
    red, green, blue = (a + (b - a) * share for a, b in zip(one, other, strict=True))
    return red, green, blue


def css(colour: Colour) -> str:
    """`#rrggbb`."""
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour)


def both_themes(colour: Colour) -> str:
    """A value for text of this colour on the page's own ground: as strong as it is on the other."""
    strong = [min(STRONG, max(ENOUGH, contrast(colour, ground))) for ground in (DARK, LIGHT)]
    light, dark = css(readable(colour, LIGHT, strong[0])), css(readable(colour, DARK, strong[1]))
    return light if light == dark else f"light-dark({light}, {dark})"


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
