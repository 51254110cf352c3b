"""memray beside known truths; and what a run says where it is not installed."""

from __future__ import annotations

import importlib.util
import re

import numpy as np
import pytest
from specimens import held, named, signalled, transient

from experiments.instruments.native import BUILDING, FLAME_GRAPH, PEAK, WORK, Native
from experiments.runner import run_trial
from experiments.trial import Trial

OWN = 20_000  # bytes that the interpreter's objects and memray's own may add

needs_memray = pytest.mark.skipif(
    importlib.util.find_spec("memray") is None,
    reason="memray is not installed: pip install 'autodiff-lab[native]'",
)


def measured(workload, folder=None, **parameters):
    trial = Trial("tests", named(workload), parameters, "lean", "native")
    record = run_trial(trial, folder=folder)
    assert record.outcome == "ok", record.error
    return record


@needs_memray
def test_the_peak_is_what_was_asked_for_and_the_flame_graph_opens_offline(tmp_path):
    record = measured(transient, tmp_path, size=32_000_000, seconds=0.0)
    assert 0 <= record.readings[PEAK] - 32_000_000 < OWN
    assert record.details["flame_graph"] == FLAME_GRAPH
    assert [path.name for path in tmp_path.iterdir()] == [FLAME_GRAPH]
    page = (tmp_path / FLAME_GRAPH).read_text(encoding="utf-8")
    assert "specimens.py" in page
    fetched = re.findall(r"""<(?:script|link|img)[^>]+(?:src|href)=["']([^"']+)""", page)
    assert [address for address in fetched if not address.startswith("data:")] == []


@needs_memray
def test_untouched_arrays_count_and_a_trial_without_a_folder_is_measured_too():
    record = measured(held, count=3, size=1_000_000, touched=False)
    assert 0 <= record.readings[PEAK] - 3_000_000 < OWN


@needs_memray
def test_what_was_built_stands_and_what_building_freed_again_does_not(tmp_path):
    instrument = Native()
    instrument.folder = tmp_path
    instrument.at("baseline")
    np.ones(8_000_000, dtype=np.uint8)
    parameters = np.ones(1_000_000, dtype=np.uint8)
    step = instrument.wrapped(lambda probe: {"sum": np.ones(2_000_000, dtype=np.uint8).sum()})
    instrument.at("built")
    step(print)
    del parameters
    instrument.at("dropped")
    instrument.close()
    assert 0 <= instrument.readings[PEAK] - 3_000_000 < 10 * OWN  # nothing was rehearsed here


@needs_memray
def test_the_records_on_disk_outlive_the_process(tmp_path):
    from memray import FileReader

    trial = Trial("tests", named(signalled), {}, "lean", "native")
    record = run_trial(trial, folder=tmp_path)
    assert record.outcome == "killed"
    assert {path.name for path in tmp_path.iterdir()} == {BUILDING, WORK}
    with FileReader(tmp_path / WORK) as reader:
        assert list(reader.get_high_watermark_allocation_records(merge_threads=True)) is not None


def test_where_memray_is_missing_the_peak_is_not_available_and_no_crash(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    instrument = Native()
    for phase in ("baseline", "built", "dropped", "collected"):
        instrument.at(phase)
    instrument.close()
    assert not instrument.readings
    assert "pip install 'autodiff-lab[native]'" in instrument.unavailable[PEAK]
