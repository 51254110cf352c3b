"""What tests of instruments share: a trial in a process of its own, and work in this one."""

from __future__ import annotations

import functools

import specimens
from specimens import named

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
