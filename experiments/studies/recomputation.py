"""What does it cost to hold less than gradients need: in evaluations, and in time?"""

from __future__ import annotations

from collections.abc import Iterable

from experiments.studies import Points, Study
from experiments.trial import Value


def bought(*, packers: bool = True, **amounts: Iterable[Value]) -> Points:
    """A point for every amount of each way to buy memory, and one where none is bought.

    The parameter that an amount is of is that which the way reads: segments, arrays or budget,
    given as `way_parameter`.
    """
    points: list[dict[str, Value]] = [{}]
    for name, values in amounts.items():
        way, parameter = name.split("_")
        points += [{"recompute": way, parameter: value} for value in values]
    if packers:
        points += [{"packer": packer} for packer in ("half", "compressed", "disk")]
    return points


def of_kind(kind: str, points: Points) -> Points:
    return [{"kind": kind, **point} for point in points]


MIB = 2**20

STUDY = Study(
    name="recomputation",
    question="What does it cost to hold less of a graph than its gradients need?",
    answered_by="The forward evaluations at each measured peak, beside the least that theory "
    "allows within the same budget; the time that they take; and a peak that stays within its "
    "budget wherever one was given and not refused.",
    workloads=("deep_chain", "uneven_layers", "long_skips"),
    modes=("lean",),
    instruments={
        "traced": ("off",),
        "arrays": ("off",),
        "evaluations": ("off",),
        "clock": ("off",),
        "operations": ("off",),
    },
    at_first=("operations",),
    repeats={"traced": 1, "clock": 3},
    sweep={
        "deep_chain": [
            *of_kind(
                "sin",
                bought(
                    segments_segments=(4, 10, 25),
                    binomial_arrays=(3, 5, 6, 8, 10, 13, 16, 21, 30, 52),
                    budget_arrays=(3, 6, 8, 10, 13, 16, 21, 30, 52),
                ),
            ),
            *of_kind(
                "tanh",
                bought(
                    packers=False,
                    segments_segments=(10,),
                    binomial_arrays=(6, 10, 21, 52),
                    budget_arrays=(10, 21, 52),
                ),
            ),
        ],
        "uneven_layers": bought(
            segments_segments=(2, 3, 4),
            binomial_budget=[n * MIB // 2 for n in (15, 17, 18, 20, 22, 26)],
            budget_budget=[n * MIB // 2 for n in (15, 17, 18, 20, 22, 26)],
        ),
        "long_skips": bought(budget_arrays=(15, 23, 24, 26, 30, 36)),
    },
    quick_sweep={
        "deep_chain": of_kind(
            "sin",
            bought(
                segments_segments=(3, 5, 6),
                binomial_arrays=(3, 5, 6, 8, 12, 20),
                budget_arrays=(3, 6, 8, 12, 20),
            ),
        ),
        "uneven_layers": bought(
            packers=False,
            segments_segments=(2, 4),
            binomial_budget=[n * MIB // 4 for n in (12, 14, 16)],
            budget_budget=[n * MIB // 4 for n in (12, 14, 16)],
        ),
        "long_skips": bought(packers=False, budget_arrays=(15, 24, 30)),
    },
)


if __name__ == "__main__":
    from experiments.cli import run_as_script

    run_as_script(STUDY)
