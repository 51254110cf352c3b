"""Is the collector the cure? The same graphs with it on, off, and called after every step."""

from __future__ import annotations

from experiments.studies import Study

STUDY = Study(
    name="collector",
    question="How much do strong references cost if the collector is on, or called after every "
    "step?",
    answered_by="The peak under step16 in the three states of the collector beside step17's, and "
    "the time that its runs take.",
    workloads=("square_loop", "goldstein_price", "mlp_digits"),
    modes=("step16", "step17"),
    instruments={
        "traced": ("off", "on", "each step"),
        "collector": ("on", "each step"),
        "clock": ("off", "on", "each step"),
    },
)


if __name__ == "__main__":
    from experiments.cli import run_as_script

    run_as_script(STUDY)
