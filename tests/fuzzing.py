"""How long fuzz targets are tried. Knows none of them."""

import os
from typing import Final

from hypothesis import settings

_FACTOR: Final = int(os.environ.get("KMSFS_FUZZ_FACTOR", "1"))


def examples(count: int) -> settings:
    """Return the settings of a test that tries so many examples in CI, and as many more as one asks for."""
    return settings(max_examples=count * _FACTOR)
