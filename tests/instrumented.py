"""What tests of instruments share: a trial in a process of its own, and work in this one."""

from __future__ import annotations

import functools
import gc

import specimens
from specimens import named

from autodiff import square, using_mode
from experiments.instruments.lifetimes import Lifetimes
from experiments.runner import run_trial
from experiments.trial import Trial
from experiments.workloads import WORKLOADS


@functools.cache
def measured(workload, instrument, mode="lean", collector="off", **parameters):
    """The record of a trial that is meant to go well."""
    if workload in WORKLOADS:
        parameters = {**WORKLOADS[workload].defaults, **parameters}
    else:
        workload = named(getattr(specimens, workload))
    record = run_trial(Trial("tests", workload, parameters, mode, instrument, collector))
    assert record.outcome == "ok", record.error
    return record


def led_through(instrument, work):
    """The instrument after a piece of work in this process."""
    instrument.at("baseline")
    instrument.at("built")
    try:
        work()
    finally:
        instrument.at("dropped")
    instrument.close()
    return instrument


def lived(work, build=lambda: None, mode="lean", instrument=None):
    """The instrument after a piece of work in this process, which is given what `build` builds."""
    instrument = instrument or Lifetimes()
    gc.freeze()  # as a trial does: holders are looked for among what comes from here on
    with using_mode(mode):
        instrument.at("baseline")
        gc.disable()
        try:
            built = build()
            instrument.at("built")
            work(*(() if built is None else (built,)), instrument.at)
            del built
            instrument.at("dropped")
            gc.collect()
            instrument.at("collected")
        except BaseException:
            instrument._applications.restore()
            instrument._allocations.stop()
            raise
        finally:
            gc.enable()
    instrument.close()
    return instrument


def there_and_back(x, at):
    """z = y**2 * y with y = x**2, and its gradient."""
    y = square(x)
    z = square(y) * y
    at("forward")
    z.backward()
    at("backward")
