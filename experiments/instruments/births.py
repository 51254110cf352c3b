"""The births and deaths of arrays, where this Python lets them be seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from experiments.instruments.allocations import Allocations, Born, Died


def births_and_deaths(born: Born, died: Died) -> Allocations:
    """What tells of each from its `start` to its `stop`.

    Raises NotImplementedError, which says why, where they go unseen.
    """
    try:
        from experiments.instruments import allocations  # which takes ctypes, as it is imported
    except (ImportError, AttributeError) as error:
        raise NotImplementedError(
            f"this Python has no ctypes that reaches its own C API: {error}"
        ) from None
    allocations.probe()
    return allocations.Allocations(born, died)
