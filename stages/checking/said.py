"""Counts and sizes in words."""

from collections.abc import Mapping


def counts(by_reason: Mapping[str, int]) -> str:
    """Write `12 too_few_valid_pixels, 3 corrupt_depth`."""
    return ", ".join(f"{count} {reason}" for reason, count in by_reason.items())


def gigabytes(size: int) -> str:
    """Write bytes as MB or GB, of a million or a thousand million bytes."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"
