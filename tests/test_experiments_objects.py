"""The instrument `objects` against leaks that the tests made themselves, and its section."""

from __future__ import annotations

import functools
from dataclasses import replace

import made_up
import pytest

from experiments.instruments.objects import alike, growth
from experiments.references import Held
from experiments.report.blocks import Chart, Table, Text
from experiments.report.sections.objects import objects
from experiments.runner import run_trial
from experiments.trial import Record, Trial

LEAKY = '''
import numpy as np

KEPT = []

class Node:
    pass

def blank(rng, *, rounds=4):
    def step(probe):
        for _ in range(rounds):
            probe("step")
        return {}
    return step

def rings(rng, *, rounds=4):
    """Two Nodes in a cycle each round, and an array on one of them; one array is forgotten."""
    weights = np.ones(300)
    def step(probe):
        for _ in range(rounds):
            one, other = Node(), Node()
            one.other, other.other, one.data = other, one, np.ones(1000)
            KEPT.append(np.ones(500))
            probe("step")
        return {"sum": weights.sum()}
    return step
'''


@pytest.fixture(scope="module")
def leaky(tmp_path_factory):
    path = tmp_path_factory.mktemp("objects") / "leaky.py"
    path.write_text(LEAKY)
    return path


@pytest.fixture
def measured(leaky):
    return functools.partial(record_of, leaky)


@functools.cache
def record_of(file, function, rounds=4):
    record = run_trial(Trial("tests", f"{file}:{function}", {"rounds": rounds}, "lean", "objects"))
    assert record.outcome == "ok", record.error
    return record


def test_so_many_objects_each_step_are_counted(measured):
    record, blank = measured("rings"), measured("blank")
    assert record.readings["grown_objects_per_step_count"] == 2
    assert record.details["growth"] == [{"type": "leaky.Node", "each_step": 2, "in_all": 6}]
    left = record.readings["tracked_objects_count"] - blank.readings["tracked_objects_count"]
    assert left == 8, record.details["types"]
    assert record.details["types"]["leaky.Node"] == 8


def test_nothing_grows_where_nothing_is_made(measured):
    record = measured("blank")
    assert record.readings["grown_objects_per_step_count"] == 0
    assert record.details["growth"] == []
    assert record.details["holders"] == {"alive": [], "left": []}
    assert abs(record.readings["tracked_objects_count"]) <= 4


def test_one_step_is_too_few_to_grow(measured):
    record = measured("blank", rounds=1)
    assert "one step" in record.unavailable["grown_objects_per_step_count"]


def test_the_largest_arrays_and_their_holders_are_told(measured):
    holders = measured("rings").details["holders"]
    cyclic = holders["left"][0]
    assert (cyclic["count"], cyclic["shape"], cyclic["bytes"]) == (4, [1000], 8000)
    assert cyclic["why"] == (
        "waits for a collection in the cycle (Node .other -> Node .other -> Node) -> Node .data"
    )
    (forgotten,) = [h for h in holders["left"] if h["shape"] == [500]]
    assert forgotten["why"] == "module leaky, global KEPT[…]"
    assert forgotten["count"] == 4  # and not the four of the rehearsal
    (weights,) = [h for h in holders["alive"] if h["shape"] == [300]]
    assert weights["why"].startswith("closure weights of rings")
    assert not [h for h in holders["left"] if h["shape"] == [300]]


def test_arrays_that_are_held_alike_are_one_row():
    one = Held((3,), "<f8", 24, "module m, global KEPT[0] -> Node .grads[1]")
    other = replace(one, why="module m, global KEPT[7] -> Node .grads[1]")
    assert [(row["why"], row["count"]) for row in alike([one, other, one])] == [
        ("module m, global KEPT[…] -> Node .grads[…]", 3)
    ]
    assert alike([one, one])[0]["why"] == one.why
    assert len(alike([one, replace(one, bytes=8)])) == 2


def test_only_what_grows_at_every_step_is_growth():
    steps = [{"A": 1, "B": 5, "C": 2}, {"A": 2, "B": 5, "C": 9}, {"A": 5, "B": 6, "C": 9}]
    assert growth(steps) == [{"type": "A", "each_step": 2, "in_all": 4}]
    assert growth(steps[:1]) == growth([]) == []


def made_up_record(**details):
    trial = made_up.record("chain", "step16", "objects")
    readings = {"tracked_objects_count": 12, "grown_objects_per_step_count": 3}
    return Record(trial.trial, "ok", readings=readings, details=details)


HELD = {"shape": [1000], "dtype": "<f8", "bytes": 8000, "count": 4, "why": "module m, global KEPT"}


def test_the_section_shows_growth_and_holders():
    details = {
        "growth": [{"type": "m.Node", "each_step": 3, "in_all": 9}],
        "holders": {"alive": [HELD], "left": []},
        "types": {"m.Node": 12},
    }
    section = objects([made_up_record(**details)])
    tables = [b.table if isinstance(b, Chart) else b for b in section.blocks]
    figures, grown, held, types = (table.rows for table in tables if isinstance(table, Table))
    assert [row[:3] for row in figures] == [
        ["step16", "more at each step", "3"],
        ["step16", "left at the end", "12"],
    ]
    assert grown == [["step16", "m.Node", "3", "9"]]
    assert held[0][2:] == ["4 × 7.81\u202fKiB (1000, <f8)", "module m, global KEPT"]
    assert types == [["m.Node", "12"]]


def test_the_section_says_where_there_is_nothing():
    empty = {"growth": [], "holders": {"alive": [], "left": []}, "types": {}}
    words = [b.words for b in objects([made_up_record(**empty)]).blocks if isinstance(b, Text)]
    assert words[0].startswith("No type of object became more")
    assert words[1].startswith("No array of the workload was alive")
    assert "Not measured" in objects([made_up.record()]).blocks[0].words
