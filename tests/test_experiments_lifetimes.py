"""The birth and death of arrays, against truths known by hand, by a model, and by tracemalloc."""

from __future__ import annotations

import contextvars
import gc
import threading
from collections import Counter
from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from instrumented import lived, measured, there_and_back

from autodiff import MODES, Function, Variable, checkpoint, grad, square
from autodiff.functions.elementwise import Square
from experiments.bounds import chain_floor
from experiments.instruments import Disagreement, allocations, timeline
from experiments.instruments.allocations import Allocations
from experiments.instruments.holders import WAITS
from experiments.instruments.lifetimes import Lifetimes
from experiments.instruments.timeline import Log, Timeline, thinned

GRAPH_MODES = [name for name, mode in MODES.items() if mode.enable_backprop]
SIZE = 1_000
S = 8 * SIZE  # bytes of an array in these tests


def arrays(instrument, least=S):
    """The arrays of a trial of at least so many bytes, in words."""
    detail = instrument.details["timeline"]
    columns = detail["arrays"]
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    for row in rows:
        row["role"] = detail["roles"][row["role"]]
        for name in ("operation", "shape"):
            row[name] = None if row[name] is None else detail[f"{name}s"][row[name]]
    return [row for row in rows if row["bytes"] >= least]


def roles(instrument):
    """How many large arrays of each role each operation made."""
    return Counter((row["role"], row["operation"]) for row in arrays(instrument))


def event_of(instrument, phase):
    """The event at which the trial was last in a phase."""
    phases = instrument.details["timeline"]["phases"]
    return dict(zip(phases["phase"], phases["event"], strict=True))[phase]


# Bytes --------------------------------------------------------------------------------------------


def test_arrays_that_are_held():
    def work(at):
        held = [np.empty(S, np.uint8) for _ in range(7)]
        at("forward")
        del held[:3]
        at("backward")

    instrument = lived(work)
    assert instrument.readings == {
        "timeline_live_after_forward_bytes": 7 * S,
        "timeline_live_after_backward_bytes": 4 * S,
        "timeline_left_bytes": 0,
        "timeline_peak_bytes": 7 * S,
        "array_count": 7,
        "temporary_bytes": 0,
    }
    assert {row["role"] for row in arrays(instrument)} == {"input"}


def test_a_peak_between_two_moments_and_arrays_never_touched():
    def work(at):
        at("forward")
        np.zeros(10 * S, np.uint8)
        at("backward")

    readings = lived(work).readings
    assert readings["timeline_peak_bytes"] == 10 * S
    assert readings["timeline_live_after_backward_bytes"] == 0


def test_no_peak_of_the_building():
    def build():
        np.empty(10 * S, np.uint8)
        return np.empty(S, np.uint8)

    instrument = lived(lambda data, at: at("forward"), build)
    assert instrument.readings["timeline_peak_bytes"] == S
    assert [row["role"] for row in arrays(instrument)] == ["parameter"] * 2


def test_views_have_no_memory_of_their_own():
    def work(at):
        data = np.empty(S, np.uint8)
        view = data[::2].reshape(2, -1)
        del data
        at("forward")
        del view
        at("backward")

    readings = lived(work).readings
    assert readings["array_count"] == 1
    assert readings["timeline_live_after_forward_bytes"] == S
    assert readings["timeline_live_after_backward_bytes"] == 0


def test_a_resize_is_a_death_and_a_birth():
    def work(at):
        data = np.empty(S, np.uint8)
        data.resize(3 * S, refcheck=False)
        at("forward")

    instrument = lived(work)
    before, after = arrays(instrument)
    assert (before["bytes"], after["bytes"]) == (S, 3 * S)
    assert after["born"] == before["died"] + 1
    assert instrument.readings["timeline_live_after_forward_bytes"] == 3 * S


def test_what_is_forgotten_has_not_died():
    kept = []
    instrument = lived(lambda at: kept.append(np.empty(S, np.uint8)))
    assert instrument.readings["timeline_left_bytes"] == S
    assert [row["died"] for row in arrays(instrument)] == [None]
    kept.clear()  # after the end, through the allocator that made it


def test_sorts_that_use_one_allocator_twice():
    def work(at):
        keys = np.arange(SIZE, dtype=float)[::-1].copy(), np.ones(SIZE)
        np.lexsort(keys)
        np.sort(keys[0], kind="stable")
        at("forward")

    readings = lived(work).readings
    assert readings["timeline_live_after_forward_bytes"] == 2 * S  # which tracemalloc bears out


def test_arrays_of_a_copied_context_share_an_allocator_and_are_told_apart():
    def work(at):
        context = contextvars.copy_context()
        outer = np.empty(SIZE)  # by the allocator that is in force in the copy, too
        inner = context.run(np.empty, SIZE // 2)
        inner[:] = 7.0
        at("forward")
        del outer
        others = [np.full(SIZE // 2, n) for n in range(10)]
        assert np.all(inner == 7.0)
        del others
        at("backward")

    readings = lived(work).readings
    assert readings["timeline_live_after_forward_bytes"] == S + S // 2
    assert readings["timeline_live_after_backward_bytes"] == S // 2
    assert readings["timeline_left_bytes"] == 0


def test_an_exception_arrives_though_arrays_die_on_its_way():
    def work(at):
        def raising():
            try:
                return np.ones(SIZE) + {}["nothing"]
            except KeyError as error:
                return error.args

        assert [raising() for _ in range(3)] == [("nothing",)] * 3
        at("forward")
        with pytest.raises(ZeroDivisionError):
            np.ones(SIZE) + np.ones(SIZE) * (1 / len([]))

    readings = lived(work).readings
    assert readings["timeline_live_after_forward_bytes"] == 0
    assert readings["timeline_left_bytes"] == 0


def test_memory_that_cannot_be_had_is_a_memory_error():
    told = []
    watched = Allocations(lambda address, size: told.append(size), lambda _: told.append(-1))
    watched.start()
    try:
        with pytest.raises(MemoryError):
            np.empty(2**62, np.uint8)
    finally:
        watched.stop()
    assert told == []


def test_more_arrays_than_allocators_were_made():
    def work(at):
        held = [np.empty(10, np.uint8) for _ in range(3_000)]
        at("forward")
        del held

    readings = lived(work).readings
    assert readings["timeline_live_after_forward_bytes"] == 30_000


def test_a_sum_that_tracemalloc_does_not_bear_out_fails_the_trial():
    kept = []

    def work(at):
        thread = threading.Thread(target=lambda: kept.append(np.empty(5 * S, np.uint8)))
        thread.start()
        thread.join()
        at("forward")

    with pytest.raises(Disagreement, match=rf"'forward'.* 0 bytes .* {5 * S} by tracemalloc"):
        lived(work)


def test_the_allocator_of_before_is_back_afterwards():
    told = []
    watched = Allocations(lambda address, size: told.append(size), lambda _: told.append(-1))
    watched.start()
    inside = np.empty(S, np.uint8)
    watched.stop()
    outside = np.empty(S, np.uint8)
    del inside, outside
    assert told == [S]


# Roles --------------------------------------------------------------------------------------------


def test_the_roles_of_a_small_graph():
    instrument = lived(there_and_back, lambda: Variable(np.ones(SIZE)))
    assert roles(instrument) == {
        ("parameter", None): 1,  # x
        ("activation", "Square"): 2,  # y and y**2
        ("output", "Mul"): 1,  # z
        ("gradient", "backward pass"): 1,  # of z
        ("gradient", "Mul backward"): 2,  # of y**2 and of y
        ("gradient", "Square backward"): 2,  # of y by y**2, added to that of y; and of x
    }
    assert {tuple(row["shape"][0]) for row in arrays(instrument)} == {(SIZE,)}
    assert {row["shape"][1] for row in arrays(instrument)} == {"float64"}


class Wasteful(Function):
    """y = 2 x + 1, with an array that is gone at the end, there and back."""

    saves = ()

    def forward(self, x):
        twice = x * 2
        return twice + 1

    def backward(self, gy):
        twice = gy + gy
        return twice.copy()


def test_temporaries_die_with_the_operation_or_rule_that_made_them():
    def work(x, at):
        Wasteful()(x).backward()

    instrument = lived(work, lambda: Variable(np.ones(SIZE)))
    assert roles(instrument)["temporary", "Wasteful"] == 1
    assert roles(instrument)["temporary", "Wasteful backward"] == 1
    assert roles(instrument)["gradient", "Wasteful backward"] == 1
    assert S <= instrument.readings["temporary_bytes"] < 2 * S


def test_a_view_of_a_result_makes_its_data_an_output():
    instrument = lived(lambda x, at: square(x)[10:], lambda: Variable(np.ones(SIZE)))
    assert roles(instrument) == {("parameter", None): 1, ("output", "Square"): 1}
    assert {tuple(row["shape"][0]) for row in arrays(instrument)} == {(SIZE,)}


def test_an_operation_that_recomputes_makes_activations_once_more():
    def work(x, at):
        grad([checkpoint(lambda v: square(square(v)), x)], [x])

    found = roles(lived(work, lambda: Variable(np.ones(SIZE))))
    assert found["activation", "Square"] + found["output", "Square"] >= 2
    assert found["gradient", "Square backward"] == 2


def test_cycles_die_only_when_they_are_collected():
    instrument = lived(there_and_back, lambda: Variable(np.ones(SIZE)), "step16")
    assert instrument.readings["timeline_left_bytes"] > 5 * S
    dropped, collected = (event_of(instrument, phase) for phase in ("dropped", "collected"))
    late = [row for row in arrays(instrument) if dropped < row["died"] <= collected]
    assert sum(row["bytes"] for row in late) == instrument.readings["timeline_left_bytes"]
    weak = lived(there_and_back, lambda: Variable(np.ones(SIZE)), "step17")
    assert all(row["died"] <= event_of(weak, "dropped") for row in arrays(weak))


def test_the_engine_is_put_back():
    before = [dict(vars(kind)) for kind in (Function, Square, Variable)]
    lived(there_and_back, lambda: Variable(np.ones(SIZE)))
    assert [dict(vars(kind)) for kind in (Function, Square, Variable)] == before


# The detail ---------------------------------------------------------------------------------------


def test_the_detail_has_what_a_chart_needs():
    instrument = lived(there_and_back, lambda: Variable(np.ones(SIZE)))
    detail = instrument.details["timeline"]
    curve, peak = detail["curve"], detail["peak"]
    assert max(curve["bytes"]) == peak["bytes"] == sum(peak["roles"].values())
    assert peak["bytes"] == instrument.readings["timeline_peak_bytes"]
    assert [sum(at) for at in zip(*curve["roles"].values(), strict=True)] == curve["bytes"]
    assert curve["seconds"] == sorted(curve["seconds"])
    alive = [0] * (detail["events"] + 1)
    for row in arrays(instrument, least=0):
        alive[row["born"]] += row["bytes"]
        if row["died"] is not None:
            alive[row["died"]] -= row["bytes"]
    assert [list(accumulate(alive))[event] for event in curve["event"]] == curve["bytes"]
    assert set(peak["operations"]) <= set(detail["operations"])


def test_arrays_beyond_the_most_are_summed_up_and_said(monkeypatch):
    monkeypatch.setattr(timeline, "MOST_ARRAYS", 3)
    monkeypatch.setattr(timeline, "MOST_CLOSER", 0)
    instrument = lived(there_and_back, lambda: Variable(np.ones(SIZE)))
    detail = instrument.details["timeline"]
    rows, rest = arrays(instrument, least=0), detail["rest"]
    assert len(rows) == 3
    assert rest["count"] == instrument.readings["array_count"] - 3
    for event, held in zip(rest["event"], rest["bytes"], strict=True):
        own = sum(
            r["bytes"] for r in rows if r["born"] <= event and not (r["died"] or 9e9) <= event
        )
        assert held + own == detail["curve"]["bytes"][detail["curve"]["event"].index(event)]
    beyond = detail["curve"]["beyond"]
    assert all(row["bytes"] * (row["died"] - row["born"]) >= beyond > 0 for row in rows)


def test_the_arrays_of_the_most_in_the_round_of_the_peak_are_kept_too(monkeypatch):
    def work(at):
        held = [np.empty(S, np.uint8) for _ in range(5)]  # of more bytes x life than all others
        for n in range(60):
            large = [np.empty(20 * S, np.uint8) for _ in range(2 if n == 40 else 0)]
            del large
            np.empty(S, np.uint8)
            at("step")
        del held

    monkeypatch.setattr(timeline, "POINTS", 50)
    monkeypatch.setattr(timeline, "MOST_ARRAYS", 3)
    monkeypatch.setattr(timeline, "MOST_CLOSER", 2)
    instrument = lived(work)
    assert [row["bytes"] for row in arrays(instrument)] == [S, S, S, 20 * S, 20 * S]
    detail = instrument.details["timeline"]
    assert detail["curve"]["beyond"] > 60 * S  # that of the others that were held
    assert detail["closer"]["beyond"] < 20 * S


@given(st.lists(st.tuples(st.integers(1, 100), st.integers(0, 9)), max_size=60))
def test_the_curve_of_any_births_and_deaths(found):
    """Of each pair: so many bytes are born, and then the array of an address dies if there is."""
    log, sizes, expected = Log(), {}, [0]
    log.begin()
    log.reached("built")
    for n, (size, victim) in enumerate(found):
        log.born_at(n, size)
        sizes[n] = size
        expected.append(sum(sizes.values()))
        if victim in sizes:
            log.died_at(victim)
            del sizes[victim]
            expected.append(sum(sizes.values()))
    log.reached("dropped")
    seen = Timeline(log)
    assert seen.bytes.tolist() == expected
    assert seen.peak_bytes == max(expected)
    assert log.live == expected[-1]


def test_thinning_keeps_the_peaks():
    curve = np.random.default_rng(0).integers(0, 1_000, 10_000)
    curve[5_001] = 9_999
    places = thinned(curve)
    assert len(places) <= timeline.POINTS
    assert {0, 5_001, 9_999} <= set(places)


def test_where_it_cannot_be_done_the_readings_say_why(monkeypatch):
    def cannot():
        raise NotImplementedError("there is no such allocator here")

    monkeypatch.setattr(allocations, "probe", cannot)
    instrument = Lifetimes()
    for phase in ("baseline", "built", "forward", "dropped", "collected"):
        instrument.at(phase)
    instrument.close()
    assert not instrument.readings
    assert len(instrument.unavailable) == 6
    assert set(instrument.unavailable.values()) == {"there is no such allocator here"}


# Who holds them -----------------------------------------------------------------------------------


def held(instrument):
    """Phase by phase, who is said to hold the large arrays from then on, by operation and role."""
    detail = instrument.details["timeline"]
    columns = detail["arrays"]
    found = {}
    for phase, array, holder in zip(*detail["held"].values(), strict=True):
        if columns["bytes"][array] < S:
            continue
        operation = columns["operation"][array]
        name = None if operation is None else detail["operations"][operation]
        words = detail["holders"][holder]
        where = found.setdefault(detail["phases"]["phase"][phase], set())
        where.add((name, detail["roles"][columns["role"][array]], words))
    return found


def test_who_holds_an_array_is_known_by_the_names_of_the_book():
    found = held(lived(there_and_back, lambda: Variable(np.ones(SIZE)), "lean"))
    assert found["forward"] == {
        (None, "parameter", "x.data in there_and_back and Square.saved[0]"),
        ("Square", "activation", "y.data in there_and_back and Square.saved[0] and 1 more"),
        ("Square", "activation", "Mul.saved[0]"),
        ("Mul", "output", "z.data in there_and_back"),
    }
    assert found["backward"] == {
        (None, "parameter", "x.data in there_and_back"),
        ("Square", "activation", "y.data in there_and_back"),
        ("Square backward", "gradient", "x.grad in there_and_back"),
    }
    assert "dropped" not in found


def test_what_waits_for_a_collection_is_said_to_do_so():
    found = held(lived(there_and_back, lambda: Variable(np.ones(SIZE)), "step16"))
    assert ("Mul", "output", "z.data in there_and_back and Mul.outputs[0].data") in found["forward"]
    assert ("Mul", "output", f"Mul.outputs[0].data, {WAITS}") in found["dropped"]
    assert all(words.endswith(WAITS) for _, _, words in found["dropped"])


def test_arrays_in_containers_views_and_variables_of_running_functions():
    class Box:
        __slots__ = ("inside",)

    def work(at):
        box, alone, listed = Box(), np.ones(SIZE), [np.ones(SIZE)]
        box.inside = {"a": (np.ones(SIZE),), "b": np.ones(SIZE)[10:]}
        at("forward")
        assert alone is not listed

    words = {who for _, _, who in held(lived(work))["forward"]}
    assert {who.split(" in ")[0] for who in words} == {
        "alone",
        "listed[0]",
        "box.inside['a'][0]",
        "box.inside['b']",
    } or words >= {"Box.inside['a'][0]", "Box.inside['b']"}


def test_holders_are_looked_for_in_the_first_round_and_in_the_last():
    def work(x, at):
        for _ in range(5):
            y = square(x)
            at("step")
            del y
        at("forward")

    instrument = Lifetimes()
    instrument.rehearsed = {"step": 5}
    detail = lived(work, lambda: Variable(np.ones(SIZE)), instrument=instrument).details["timeline"]
    steps = [n for n, phase in enumerate(detail["phases"]["phase"]) if phase == "step"]
    assert {steps[0], steps[-1]} == {n for n in detail["held"]["phase"] if n in steps}


def test_no_array_lives_longer_for_being_looked_at(monkeypatch):
    def looked(build_mode):
        return lived(there_and_back, lambda: Variable(np.ones(SIZE)), build_mode)

    with_holders = {mode: looked(mode) for mode in GRAPH_MODES}
    monkeypatch.setattr(Lifetimes, "_look", lambda self: None)
    for mode, instrument in with_holders.items():
        without = looked(mode)
        assert instrument.readings == without.readings
        assert arrays(instrument, least=0) == arrays(without, least=0)


def test_a_collector_that_may_run_is_not_moved():
    def work(x, at):
        gc.enable()
        at("forward")
        gc.disable()

    found = held(lived(work, lambda: Variable(np.ones(SIZE))))
    assert "built" in found
    assert "forward" not in found


# In trials ----------------------------------------------------------------------------------------


def test_the_peak_of_a_chain_is_its_closed_form():
    sizes = {"length": 10, "size": 20_000}
    readings = measured("chain", "lifetimes", **sizes).readings
    floor = chain_floor(10, 160_000, saves="input", result="held")
    assert floor <= readings["timeline_peak_bytes"] <= floor + 64  # of scalars
    peak = measured("chain", "traced", **sizes).readings["peak_bytes"]
    assert readings["timeline_peak_bytes"] <= peak < floor + 100_000


@pytest.mark.parametrize("mode", ["step16", "lean"])
def test_the_sums_agree_with_those_of_traced(mode):
    small = {"epochs": 2, "hidden": 20}
    found = measured("mlp_digits", "lifetimes", mode, **small).readings
    traced = measured("mlp_digits", "traced", mode, **small).readings
    for when in ("live_after_forward", "live_after_backward", "left"):
        assert found[f"timeline_{when}_bytes"] == traced[f"{when}_array_bytes"]
    assert found["timeline_peak_bytes"] <= traced["peak_bytes"]
