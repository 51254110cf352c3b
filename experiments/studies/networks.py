"""The graphs that people fight with: networks in training, and gradients of gradients."""

from __future__ import annotations

from autodiff import MODES
from experiments.studies import Study

STUDY = Study(
    name="networks",
    question="What do networks in training and gradients of gradients keep, and which mode lets go "
    "of it?",
    answered_by="The peak, what is left behind and the cycles, mode by mode: a gradient kept with "
    "its graph, a list of losses, and a recurrence cut short or not.",
    workloads=(
        "cnn_digits",
        "lstm_sine",
        "lstm_sine_whole",
        "losses_kept",
        "newton",
        "gradient_penalty",
        "tanh_derivatives",
    ),
    modes=tuple(MODES),
    instruments={
        "traced": ("off",),
        "cycles": ("off",),
        "lifetimes": ("off",),
        "clock": ("off",),
        "operations": ("off",),
    },
)


if __name__ == "__main__":
    from experiments.cli import run_as_script

    run_as_script(STUDY)
