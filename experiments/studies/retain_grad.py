"""The first half of step 18: what do the gradients cost that nobody asks for?"""

from __future__ import annotations

from experiments.studies import Study

STUDY = Study(
    name="retain_grad",
    question="What does keeping the gradients of intermediate Variables cost?",
    answered_by="The peak and what is live after backward under step17, which keeps them, and "
    "under step18, which does not; nothing else differs between the two.",
    workloads=("chain", "funnel", "goldstein_price", "mlp_digits"),
    modes=("step17", "step18"),
    instruments={"traced": ("off",), "resident": ("off",), "clock": ("off",)},
)


if __name__ == "__main__":
    from experiments.cli import run_as_script

    run_as_script(STUDY)
