"""Every error that this package raises on purpose.

GptOssError            one line for the user: what was given, what is wrong, what to do
├── InputError         (ValueError)   an option, name or body that cannot be used
├── MissingPackage     (ImportError)  a package that this feature needs is not installed
├── NotLoaded          (RuntimeError) no model in this kernel, or another one than asked for
├── CheckpointError    (ValueError)   a missing, damaged or foreign checkpoint
├── DoesNotFit         (MemoryError)  the plan needs more memory than there is
├── ContextOverflow    (ValueError)   the prompt and its answer exceed the context
└── StorageError       (OSError)      a file or cache directory that cannot be written
"""

from __future__ import annotations


class GptOssError(Exception):
    """Base of the tree. IPython shows one line for it; `%gptoss traceback` shows the rest."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


def error_line(error: BaseException) -> str:
    """One line for any error: its own words, and its kind where they do not come from us."""
    words = " ".join(str(error).split()) or "no words"
    return words if isinstance(error, GptOssError) else f"{type(error).__name__}: {words}"


class InputError(GptOssError, ValueError):
    """An option, name or body that cannot be used."""


class MissingPackage(GptOssError, ImportError):
    """A package that this feature needs is not installed."""


class NotLoaded(GptOssError, RuntimeError):
    """No model is loaded in this kernel, or another one than asked for."""


class CheckpointError(GptOssError, ValueError):
    """A checkpoint that is missing, damaged or not gpt-oss."""


class DoesNotFit(GptOssError, MemoryError):
    """A plan that needs more memory than there is."""


class ContextOverflow(GptOssError, ValueError):
    """A prompt that, with its answer, exceeds the context."""


class StorageError(GptOssError, OSError):
    """A file or directory that cannot be written."""

    def __str__(self) -> str:
        return " ".join(str(part) for part in self.args)
