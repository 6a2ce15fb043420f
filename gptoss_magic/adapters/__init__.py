"""Adapters: peft's format read and written, several resident at once, one prompt chooses."""

from gptoss_magic.adapters.adapter import Adapter
from gptoss_magic.adapters.layout import config_of
from gptoss_magic.adapters.read import read_adapter
from gptoss_magic.adapters.shelf import Shelf
from gptoss_magic.adapters.shelved import Active, Attached
from gptoss_magic.adapters.write import write_adapter

__all__ = ["Active", "Adapter", "Attached", "Shelf", "config_of", "read_adapter", "write_adapter"]
