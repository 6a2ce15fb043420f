"""`python -m gptoss_magic doctor`: what works on this machine, what is missing, how to get it."""

from gptoss_magic.doctor.examine import as_json, as_text, examine

__all__ = ["as_json", "as_text", "examine"]
