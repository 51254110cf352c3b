"""Your own code: `experiments run --script FILE.py:FUNCTION`."""

from __future__ import annotations

from experiments.studies import Study

STUDY = Study(
    name="script",
    question="What does a file of yours leave behind, and who holds it (--script "
    "FILE.py:FUNCTION)?",
    answered_by="The cycles that are left, by shape and with their bytes; the types that become "
    "more with every call; who holds the largest arrays, during the work and after it.",
    workloads=(),
    modes=("lean",),
    instruments={
        "traced": ("off",),
        "cycles": ("off",),
        "objects": ("off",),
        "lifetimes": ("off",),
        "lines": ("off",),
        "clock": ("off",),
    },
)


if __name__ == "__main__":
    from experiments.cli import run_as_script

    run_as_script(STUDY)
