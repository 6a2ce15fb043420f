"""The `browser` namespace as gpt-oss was trained for: search, open, find over a stack of pages.

What the model reads is written after `gpt_oss.tools.simple_browser` (gpt-oss 0.0.9), to be the same
character by character but for what `docs/browser.md` names. Where pages come from, the sources say
(`records.PageSource`); this room asks them, numbers what it opened, and shows it in windows.
"""
