"""Step 16 against step 17 of the slides: what do strong references leave to the collector?"""

from __future__ import annotations

from experiments.studies import Study

STUDY = Study(
    name="cycles",
    question="What do strong output references leave to the collector?",
    answered_by="The bytes left when the last reference is dropped, and the cycles that hold them: "
    "some under step16 and none under step17, with the collector off; with it on, when it comes "
    "is a matter of how many objects there are, not of how many bytes.",
    workloads=("square_loop", "chain", "goldstein_price", "mlp_digits"),
    modes=("step16", "step17"),
    instruments={
        "traced": ("off", "on"),
        "cycles": ("off",),
        "objects": ("off",),
        "collector": ("on",),
        "resident": ("off",),
    },
)


if __name__ == "__main__":
    from experiments.cli import run_as_script

    run_as_script(STUDY)
