"""How the C library keeps memory that was freed, for training on a CPU."""

import ctypes

# Of glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
LARGEST_KEPT = 2**25  # glibc takes no more; larger blocks go back to the system each time
KEPT, GROWN_BY = 2**30, 2**26


def keep_freed_memory() -> bool:
    """Keep freed blocks of up to 32 MB for the next that asks, in this process; false without glibc.

    A training step frees and asks for the same few hundred megabytes over and over. Given back to the
    system each time, every page is cleared and mapped anew: a tenth of a small student's step.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):  # musl has none, nor have macOS and Windows
        return False
    wanted = {_MMAP_THRESHOLD: LARGEST_KEPT, _TRIM_THRESHOLD: KEPT, _TOP_PAD: GROWN_BY}
    taken = [mallopt(what, value) for what, value in wanted.items()]
    return all(taken)
