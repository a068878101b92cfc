"""Memory that a process has freed stays with it, for the next step or picture to use; and memory that there is not.

The C library hands large blocks back to the system, and the next step has them cleared and mapped anew, page by page,
which took a tenth of the processor time of a generator's step at 64 px. A training needs the same blocks in every step,
a folder of photographs in every batch.
"""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # names of glibc's malloc.h
_NEVER = 2**31 - 1
# What torch and OpenCV raise in place of a MemoryError says one of these.
_NO_MEMORY = ("can't allocate memory", "out of memory", "Insufficient memory", "Storage size calculation overflowed")


def keep_freed_memory() -> bool:
    """Tell glibc to keep freed memory; its environment variables MALLOC_… do the same for a whole process.

    Returns:
        Whether it took the settings; False on other systems and C libraries, where nothing changes.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, _NEVER))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that more memory was asked for than there is."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY)
