"""What several static outputs look alike in: the edge of a box, and how a wide one scrolls."""

EDGE = "1px solid var(--jp-border-color2, rgba(128, 128, 128, 0.4))"
SCROLL = 'style="overflow-x: auto; max-width: 100%" tabindex="0" role="group"'  # by keys, too
