"""Does it depend on the Python? A small run for each interpreter, side by side in one folder."""

from __future__ import annotations

from experiments.studies import Study

STUDY = Study(
    name="pythons",
    question="Does it depend on the Python?",
    answered_by="Peaks, cycles and what is left behind, mode by mode, from every Python that ran "
    "it into the same folder: with the collector off they should be alike, and with it on as far "
    "apart as the collectors are.",
    workloads=("square_loop", "goldstein_price", "mlp_digits"),
    modes=("step16", "step17", "lean"),
    instruments={
        "traced": ("off", "on"),
        "collector": ("on",),
        "cycles": ("off",),
        "clock": ("on",),
    },
    parameters={
        "square_loop": {"size": 1_000},
        "mlp_digits": {"hidden": 32, "batch": 100, "epochs": 2},
    },
)


if __name__ == "__main__":
    from experiments.cli import run_as_script

    run_as_script(STUDY)
