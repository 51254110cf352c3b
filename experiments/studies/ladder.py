"""What does each step of the ladder buy? Every named mode, in its order, on simple workloads."""

from __future__ import annotations

from autodiff import MODES
from experiments.studies import Study

STUDY = Study(
    name="ladder",
    question="What does each memory mode keep alive, until when, and what does it cost to keep "
    "less?",
    answered_by="The peak, what is live after backward and what is left behind, mode by mode, "
    "beside the time that each takes; all modes must give the same results to the last bit.",
    workloads=(
        "square_loop",
        "chain",
        "funnel",
        "goldstein_price",
        "mlp_digits",
        "inference",
    ),
    modes=tuple(MODES),
    instruments={
        "traced": ("off",),
        "resident": ("off",),
        "lines": ("off",),
        "cycles": ("off",),
        "objects": ("off",),
        "collector": ("on",),
        "lifetimes": ("off",),
        "clock": ("off",),
        "operations": ("off",),
    },
)


if __name__ == "__main__":
    from experiments.cli import run_as_script

    run_as_script(STUDY)
