"""Quantiles of the kernel's histograms."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Bound = Callable[[int], int | None]
"""Slot number to its inclusive upper bound; None for the last slot, which has none."""


def quantile(q: float, slots: Sequence[int], bound: Bound) -> float | None:
    """
    Return the value that a share `q` (0 to 1) of the counted values does not exceed.

    Interpolated linearly inside its slot, as PromQL's histogram_quantile does, but for a slot that
    holds one whole number, which is that number; the lower bound of the last slot where it falls
    there; None where nothing was counted.
    """
    total = sum(slots)
    if not total:
        return None
    rank, below = q * total, 0
    for slot, count in enumerate(slots):
        if count and below + count >= rank:
            upper, lower = bound(slot), (bound(slot - 1) or 0) if slot else 0
            if upper is None:
                return float(lower)
            if upper - lower <= 1:
                return float(upper)
            return lower + (upper - lower) * max(rank - below, 0.0) / count
        below += count
    return None


def difference(now: Sequence[int], before: Sequence[int] | None) -> tuple[int, ...]:
    """Return the counts that were added since `before` (None: since the start)."""
    if before is None:
        return tuple(now)
    return tuple(n - b for n, b in zip(now, before, strict=True))
