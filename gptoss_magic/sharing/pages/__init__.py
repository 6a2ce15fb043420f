"""A notebook as one HTML file: markup, styles and maths of others made safe, and what stands around.

page_body   cells ── prose (Markdown), listing (code), shown (outputs)
cleaner     HTML of others by an allowlist; what is not on it is counted in LeftOut
sheets      their CSS, kept to the output that it came with; inline styles become classes
maths       LaTeX to MathML      ansi   a terminal's colours       pictures   images inside
"""
