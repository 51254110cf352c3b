"""The second half of step 18: what does a graph cost where nobody wants a gradient?"""

from __future__ import annotations

from experiments.studies import Study

STUDY = Study(
    name="no_grad",
    question="What does enable_backprop = False save where nobody wants a gradient?",
    answered_by="The peak and the time of the same forward pass with a graph (step18, lean) and "
    "without one (no_grad).",
    workloads=("inference", "square_loop"),
    modes=("step18", "lean", "no_grad"),
    instruments={"traced": ("off",), "resident": ("off",), "clock": ("off",)},
)


if __name__ == "__main__":
    from experiments.cli import run_as_script

    run_as_script(STUDY)
