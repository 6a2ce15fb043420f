"""What static outputs look alike in: edge and ground of a box, muted text, how it scrolls."""

EDGE = "1px solid var(--jp-border-color2, rgba(128, 128, 128, 0.4))"
GROUND = "rgba(128, 128, 128, 0.05)"  # of code and quotations; on it muted text still has 4.5:1
PALE = "color: var(--jp-ui-font-color2, #767676)"
MUTED = f"{PALE}; font-size: 0.9em"
SCROLL = 'style="overflow-x: auto; max-width: 100%" tabindex="0" role="group"'  # by keys, too
