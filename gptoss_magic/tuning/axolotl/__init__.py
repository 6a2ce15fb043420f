"""Axolotl's YAML for a run, read and written; what one side cannot say is named, never dropped.

Keys: docs.axolotl.ai, config reference.
"""

from gptoss_magic.tuning.axolotl.read import AxolotlRun, read_axolotl
from gptoss_magic.tuning.axolotl.write import trl_lines, write_axolotl

__all__ = ["AxolotlRun", "read_axolotl", "trl_lines", "write_axolotl"]
