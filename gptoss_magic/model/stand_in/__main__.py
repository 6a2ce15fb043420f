"""`python -m gptoss_magic.model.stand_in`: convert the built-in model, say where it lies.

`--packed`: the variant with MXFP4 experts.
"""

from __future__ import annotations

import sys

from gptoss_magic.errors import GptOssError
from gptoss_magic.model.stand_in import checkpoint


def main() -> int:
    """Print the provenance notice and the checkpoint's directory; 1 on an error, in one line."""
    try:
        path = checkpoint(packed="--packed" in sys.argv[1:])
    except GptOssError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    print((path / "README.md").read_text() + str(path))  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
