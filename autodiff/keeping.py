"""In what kept arrays are held between forward and backward, where not as they are.

A Keeper is asked while a graph is recorded: before an operation runs, and once it has been taken
into the graph. What it then puts in the place of the Function's `kept` is a Kept, which is asked
when the rule is about to run. Packers, budgets and sequences of checkpoints are such keepers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from autodiff.arrays import Array
    from autodiff.graph import Function


class Keeper:
    """What decides in what the arrays that Functions keep are held."""

    __slots__ = ()

    def prepare(self, function: Function, arrays: Sequence[Any]) -> None:
        """An operation is about to run on these arrays and numbers."""

    def constants(self, results: Sequence[Array]) -> None:
        """It gave these and was not recorded: nothing wants a gradient, or there is no graph."""

    def keep(self, function: Function, arrays: Sequence[Any], results: Sequence[Array]) -> None:
        """It has been taken into the graph, and gave these: put a Kept in place of its `kept`."""
        raise NotImplementedError(f"{type(self).__name__} defines no keep")

    def given(self, arrays: Iterable[Array]) -> None:
        """These arrays stand, and operations will be given them later."""

    def make_room(self, size: int) -> None:
        """Arrays of so many bytes are about to be made by what is no operation, as by a pass."""

    def made(self, array: Array) -> None:
        """A pass has made this one."""


class Kept:
    """What stands in the place of a Function's kept arrays.

    keeper: that under which a pass over the graph runs; None: the one that is in force.
    """

    __slots__ = ()

    keeper: ClassVar[Keeper | None] = None

    def arrays(self) -> Any:
        """The arrays, as `kept` has them elsewhere: one alone, or a tuple."""
        raise NotImplementedError

    def begin(self, gy: Any) -> Any:
        """The arrays, for a rule that is about to run on gradients of its outputs."""
        return self.arrays()

    def end(self, gxs: Any) -> None:
        """The rule has run, and made these gradients of its inputs."""

    def let_go(self) -> None:
        """No rule will read them any more."""


class BudgetError(MemoryError):
    """A budget that cannot be met: budget, and least, the bytes that would do as far as is known.

    what: what takes so many. advice: what could be done.
    """

    def __init__(self, budget: int, least: int, what: str, advice: str) -> None:
        super().__init__(
            f"a budget of {budget} bytes cannot be met: {what} takes {least} bytes, "
            f"{least - budget} more; {advice}"
        )
        self.budget, self.least = budget, least
