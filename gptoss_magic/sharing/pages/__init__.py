"""A notebook as one HTML file: what others wrote made safe, and what stands around it.

page_html   the page     cells   its cells     prose (Markdown), listing (code), shown (outputs)
cleaner     HTML of others by an allowlist, with markup (tokens), vetting (attributes), left_out
sheets      their CSS, kept to the output that it came with; inline styles become classes
maths       LaTeX to MathML     ansi  a terminal's text     pictures  images inside     contrast
"""
