"""What static outputs look alike in: the edge and ground of a box, how a wide one scrolls."""

EDGE = "1px solid var(--jp-border-color2, rgba(128, 128, 128, 0.4))"
GROUND = "rgba(128, 128, 128, 0.05)"  # of code and quotations; on it muted text still has 4.5:1
SCROLL = 'style="overflow-x: auto; max-width: 100%" tabindex="0" role="group"'  # by keys, too
