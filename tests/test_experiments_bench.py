"""The bench: floors and gradient checks that can be trusted, figures with known truths, its end."""

from __future__ import annotations

import ast
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from experiments import cli, environment
from experiments.bench import engines, floors, measuring, running, table, weighing
from experiments.bench.engines import ENGINES, FLOOR, OURS, PEERS
from experiments.bench.engines.autodiff import Engine as Ours
from experiments.bench.figures import figures, over
from experiments.bench.measuring import Job, Measurement, Wrong, check, measure, rehearse
from experiments.bench.problems import ARRAYS, PROBLEMS, Problem
from experiments.estimates import Estimate

Array = np.ndarray[Any, Any]
Captured = pytest.CaptureFixture[str]

SMALL = {
    "goldstein_price": 1,
    "chain": 5,
    "wide": 4,
    "ladder": 3,
    "residual": 4,
    "arrays": 50,
    "square_loop": 10,
    "mlp": 3,
    "rnn": 3,
    "newton": 4,
}


def flat(text: str) -> str:
    """Text without the frame and the line breaks that the terminal's width gives it."""
    return " ".join(text.replace("│", " ").split())


# The floors ---------------------------------------------------------------------------------------


def cross_entropy(scores: Array, classes: Array) -> Array:
    logarithms = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return -logarithms[np.arange(len(classes)), classes].mean()


PLAIN: Any = SimpleNamespace(
    sin=np.sin,
    exp=np.exp,
    tanh=np.tanh,
    square=np.square,
    relu=lambda x: np.maximum(x, 0),
    sum=np.sum,
    matmul=np.matmul,
    linear=lambda x, W, b: x @ W + b,
    cross_entropy=cross_entropy,
    constant=lambda array: array,
)


@pytest.mark.parametrize("name", [name for name in PROBLEMS if name != "newton"])
def test_gradients_by_hand_are_those_of_finite_differences(name: str) -> None:
    problem, size = PROBLEMS[name], SMALL[name]
    inputs, data = problem.made(size)
    inputs = [array.astype(np.float64) for array in inputs]
    compute = problem.compute(PLAIN, size, data)
    by_hand = problem.floor(inputs, size, data)
    gradients = by_hand.gradients(by_hand.backward(by_hand.forward()))
    chosen = np.random.default_rng(0)
    for array, gradient in zip(inputs, gradients, strict=True):
        scale = float(np.sqrt(np.mean(gradient**2)))
        for place in chosen.integers(array.size, size=min(array.size, 10)):
            found, rounding = difference(compute, inputs, array, place)
            allowed = 1e-6 * scale + rounding
            assert found == pytest.approx(gradient.flat[place], rel=1e-6, abs=allowed)


def difference(
    compute: Any, inputs: Sequence[Array], array: Array, place: int
) -> tuple[float, float]:
    """A result's sum by one element of one of its inputs, centrally; and how far that may round."""
    step, before = 1e-5, array.flat[place]
    ends = []
    for sign in (-1, 1):
        array.flat[place] = before + sign * step
        ends.append(float(np.sum(compute(*inputs))))
    array.flat[place] = before
    rounding = np.finfo(float).eps * abs(ends[0]) / step
    return (ends[1] - ends[0]) / (2 * step), rounding


def test_newton_by_hand_ends_where_the_function_is_least() -> None:
    points = floors.newton(np.array(2.0), 10)
    assert points.shape == (10,)
    assert points[0] == 2 - (4 * 8 - 8) / (48 - 4)
    assert points[-1] == pytest.approx(1.0, abs=1e-15)


@pytest.mark.parametrize("name", PROBLEMS)
def test_this_engine_has_the_gradients_by_hand_and_their_types(name: str) -> None:
    problem = PROBLEMS[name]
    assert rehearse(problem, SMALL[name], problem.prepared(Ours(), SMALL[name])) == ""


@dataclass
class Counted:
    """A number that counts what is done with it and with all that come of it."""

    counter: list[int]

    def count(self, *others: Any) -> Counted:
        self.counter[0] += 1
        return self

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __pow__ = count


@pytest.mark.parametrize("name", PROBLEMS)
def test_problems_record_so_many_operations(name: str) -> None:
    problem, size, counter = PROBLEMS[name], SMALL[name], [0]
    called = dict.fromkeys(("sin", "exp", "tanh", "square", "relu", "sum"), Counted.count)

    def of_any(*operands: Any) -> Counted:
        return next(o for o in operands if isinstance(o, Counted)).count()

    e: Any = SimpleNamespace(
        **called, matmul=of_any, linear=of_any, cross_entropy=of_any, constant=lambda array: array
    )
    inputs, data = problem.made(size)
    compute = problem.compute(e, size, data)
    for _ in range(size if name == "newton" else 1):
        compute(*(Counted(counter) for _ in inputs))
    assert counter[0] == problem.operations(size)


# The check of gradients ---------------------------------------------------------------------------


def test_a_gradient_is_checked_to_rounding_and_its_type_is_told() -> None:
    exact = np.array([1.0, -2.0, 0.0])
    assert check([exact * (1 + 1e-12)], [exact]) == ""
    assert check([exact], [exact.astype(np.float32)]) == "float64"
    assert check([exact.astype(np.float32)] * 2, [exact.astype(np.float32), exact]) == "float32"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (1,), (3, 4)])
@pytest.mark.parametrize("factor", [2.0, -1.0, 0.0, 1.001, np.nan, np.inf])
def test_a_wrong_factor_is_caught(dtype: str, shape: tuple[int, ...], factor: float) -> None:
    exact = np.full(shape, 3e-7, dtype)  # small: it is its share that counts
    with np.errstate(all="ignore"), pytest.raises(Wrong, match="gradient 2 of 2 is off"):
        check([exact, exact * np.dtype(dtype).type(factor)], [exact, exact])


def test_one_wrong_element_of_many_is_caught() -> None:
    exact = np.random.default_rng(0).standard_normal(10_000)
    wrong = exact.copy()
    wrong[7_777] *= 1 + 1e-7
    check([exact], [exact])
    with pytest.raises(Wrong, match="gradient 1 of 1"):
        check([wrong], [exact])


def test_shapes_and_numbers_of_gradients_are_checked() -> None:
    with pytest.raises(Wrong, match=r"shape \(1,\), by hand \(\)"):
        check([np.ones(1)], [np.ones(())])
    with pytest.raises(Wrong, match="1 gradients, and 2 by hand"):
        check([np.ones(1)], [np.ones(1)] * 2)


class OffByAFactor(Ours):
    def gradient(self, leaf: Any) -> Array:
        return super().gradient(leaf) * np.float32(1.01)


class Widening(Ours):
    def gradient(self, leaf: Any) -> Array:
        return super().gradient(leaf).astype(np.float64)


def test_an_engine_with_wrong_gradients_is_not_measured() -> None:
    for name in ("goldstein_price", "mlp"):
        found = measure(Job(name, "planted", SMALL[name], "time"), OffByAFactor())
        assert found.outcome == "wrong"
        assert "wrong gradients: gradient 1" in found.why
        assert not found.figures


def test_gradients_of_another_type_are_told_beside_the_time() -> None:
    found = measure(Job("mlp", "planted", SMALL["mlp"], "time"), Widening())
    assert found.outcome == "ok"
    assert found.dtypes == "float64"
    assert table.remarks([found]) == ["planted: mlp: its gradients are float64"]


# Figures with known truths ------------------------------------------------------------------------


class Keeping:
    """Keeps so many arrays in forward, and makes so many more in backward."""

    def __init__(self, forward: int, backward: int, each: int = 100_000) -> None:
        self.kept, self.made, self.each = forward, backward, each

    def forward(self) -> Any:
        return [np.ones(self.each) for _ in range(self.kept)]

    def backward(self, held: Any) -> Any:
        return [np.ones(self.each) for _ in range(self.made)]

    def gradients(self, found: Any) -> list[Array]:
        return list(found)


def test_peaks_are_the_arrays_that_there_are() -> None:
    found = weighing.peaks(Keeping(3, 2))
    arrays = {name: value / 800_000 for name, value in found.items()}
    assert arrays == pytest.approx({"forward_peak_bytes": 3, "peak_bytes": 5}, abs=0.01)


def test_the_floor_of_20_operations_is_14_arrays_and_15() -> None:
    found = weighing.peaks(floors.arrays([np.full(100_000, 0.5)], ARRAYS))
    arrays = [value / 800_000 for value in found.values()]
    assert arrays == pytest.approx([14, 15], abs=0.05)


@pytest.mark.skipif(find_spec("memray") is None, reason="memray is not installed here")
def test_native_peaks_are_the_arrays_that_there_are() -> None:
    found, why = weighing.peaks_out_of_sight(Keeping(3, 2), large=False)
    arrays = {name: value / 800_000 for name, value in found.items()}
    assert arrays == pytest.approx({"forward_peak_bytes": 3, "peak_bytes": 5}, abs=0.05)
    assert why.endswith("these peaks are memray's")


def test_without_memray_small_arrays_are_out_of_sight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weighing, "find_spec", lambda name: None)
    figures, why = weighing.peaks_out_of_sight(Keeping(3, 2), large=False)
    assert not figures
    assert "pip install memray" in why


@pytest.mark.skipif(sys.platform != "linux", reason="the resident set is read from /proc")
def test_resident_peaks_are_the_arrays_that_there_are() -> None:
    code = (
        "import numpy as np\n"
        "from experiments.bench.floors import arrays\n"
        "from experiments.bench.weighing import resident_peaks\n"
        "from experiments.bench.problems import ARRAYS\n"
        "np.tanh(np.ones(10))\n"
        "print(*resident_peaks(arrays([np.full(1_000_000, 0.5)], ARRAYS)).values())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment.pinned(os.environ),
        capture_output=True,
        text=True,
        check=True,
    )
    assert [int(n) / 8_000_000 for n in done.stdout.split()] == pytest.approx([14, 15], abs=0.2)


def test_the_graph_s_weight_is_what_one_more_operation_takes() -> None:
    """An operation here is a list of its own, which the collector tracks, and 1 000 bytes."""

    class Chain(Keeping):
        def forward(self) -> Any:
            return [[bytes(1_000 - b"".__sizeof__())] for _ in range(self.kept)]

    found = weighing.graph(Chain(100, 0), Chain(300, 0), 200)
    assert found["operation_objects_count"] == 1
    list_ = [None].__sizeof__() + 16  # the collector's own part, in front of it
    assert found["operation_bytes"] == pytest.approx(1_000 + list_ + 8, abs=16)


@pytest.mark.usefixtures("collector_off")
def test_a_loop_that_leaks_grows_by_what_it_leaks() -> None:
    class Cycle:
        def __init__(self) -> None:
            self.array, self.me = np.ones(10_000), self

    class Leaking(Keeping):
        def forward(self) -> Any:
            return Cycle()

    found = weighing.loop(lambda: Leaking(0, 0))
    assert found["forward_growth_bytes"] / 80_000 == pytest.approx(1, abs=0.02)
    assert found["forward_garbage_count"] >= weighing.LOOPS
    clean = weighing.loop(lambda: Keeping(2, 1, 10_000))
    assert abs(clean["both_growth_bytes"]) < 800
    assert clean["both_garbage_count"] == 0


def test_times_are_of_one_repetition_and_its_parts_make_the_whole() -> None:
    found = measuring.seconds_of_phases(Keeping(2, 2, 1_000))
    assert 0 < found["forward_seconds"] + found["backward_seconds"] <= 1.2 * found["seconds"]
    assert 0 < measuring.seconds(Keeping(2, 2, 1_000))["seconds"] < 0.01


@pytest.mark.skipif(running.valgrind() is None, reason="valgrind is not installed here")
def test_instructions_are_those_of_the_operations_alone() -> None:
    found = running.measured(Job("chain", FLOOR, 200, "instructions"))
    assert found.outcome == "ok", found.why
    assert 500 < found.figures["operation_instructions_count"] < 50_000


def test_instructions_are_missing_where_valgrind_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    found = running.measured(Job("chain", FLOOR, 200, "instructions"))
    assert (found.outcome, found.figures) == ("missing", {})
    assert "valgrind" in found.why


# In a process of its own --------------------------------------------------------------------------


def test_a_measurement_in_a_process_of_its_own() -> None:
    job = Job("chain", OURS, 10, "time", round=3)
    found = running.measured(job)
    assert (found.outcome, found.why, found.job) == ("ok", "", job)
    assert found.figures.keys() == {"seconds", "forward_seconds", "backward_seconds"}


@pytest.mark.parametrize("peer", PEERS)
def test_peers_that_are_here_have_the_gradients_by_hand(peer: str) -> None:
    if not engines.installed(peer):
        pytest.skip(f"{peer} is not installed here")
    for name in ("goldstein_price", "rnn", "mlp", "newton"):
        found = running.measured(Job(name, peer, SMALL[name], "time"))
        assert found.outcome in ("ok", "missing"), found.why
        assert found.version


def test_an_engine_that_does_not_import_says_so() -> None:
    found = running.measured(Job("chain", "nowhere", 10, "time"))
    assert found.outcome == "failed"
    assert found.why.startswith("does not import: ModuleNotFoundError")


def test_a_measurement_over_its_time_is_ended_and_says_so() -> None:
    found = running.measured(Job("chain", OURS, 10, "time"), timeout=0.01)
    assert (found.outcome, found.why) == ("timed out", "took longer than 0.01 s")


def test_a_process_that_ends_by_itself_leaves_its_last_words(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Job, "to_line", lambda job: "no job\n")
    found = running.measured(Job("chain", OURS, 10, "time"))
    assert found.outcome == "failed"
    assert "JSONDecodeError" in found.why


def test_a_measurement_ends_with_the_process_that_wanted_it() -> None:
    """Of one that takes long, the leash closes once it has begun."""
    line = Job("chain", FLOOR, 3_000_000, "time").to_line().encode()
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments.bench.measuring"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment.pinned(os.environ),
    )
    answer, _ = process.communicate(line, timeout=60)
    assert (process.returncode, answer) == (1, b"")


def test_each_adapter_is_named_as_its_package_and_has_an_engine() -> None:
    folder = Path(engines.__file__).parent
    assert ENGINES[:2] == (FLOOR, OURS)
    for name in (OURS, *PEERS):
        source = ast.parse((folder / f"{name}.py").read_text())
        assert any(isinstance(node, ast.ClassDef) and node.name == "Engine" for node in source.body)
        assert ast.get_docstring(source)


# The plan -----------------------------------------------------------------------------------------


def test_engines_take_turns_and_what_needs_no_clock_is_taken_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(running, "valgrind", lambda: "/usr/bin/valgrind")
    jobs = running.planned(["chain", "mlp"], [FLOOR, OURS], 3, quick=False)
    assert [job.engine for job in jobs] == [FLOOR, OURS] * (len(jobs) // 2)
    for kind, rounds in (("time", {0, 1, 2}), ("graph", {0}), ("peak", {0}), ("instructions", {0})):
        assert {job.round for job in jobs if job.kind == kind} == rounds
    assert len(set(jobs)) == len(jobs)
    assert {job.size for job in jobs if job.problem == "chain" and job.kind == "time"} == set(
        PROBLEMS["chain"].sizes
    )


def test_quick_is_smaller_and_counts_no_instructions() -> None:
    jobs = running.planned(["chain"], [OURS], 1, quick=True)
    assert {job.kind for job in jobs} == {"time", "graph"}
    assert max(job.size for job in jobs) < max(PROBLEMS["chain"].sizes)


def test_without_valgrind_no_instructions_are_planned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "valgrind", lambda: None)
    jobs = running.planned(["chain"], [OURS], 1, quick=False)
    assert {job.kind for job in jobs} == {"time", "graph"}


@pytest.mark.parametrize(
    ("failure", "left"),
    [
        (Measurement(Job("wide", "torch", 100, "time"), "timed out", why="too long"), 12),
        (Measurement(Job("wide", "torch", 100, "time"), "wrong", why="wrong gradients"), 12),
        (
            Measurement(Job("chain", "torch", 100, "time"), "failed", why="does not import: Oh"),
            8,
        ),
    ],
)
def test_what_would_fail_again_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch, failure: Measurement, left: int
) -> None:
    jobs = [
        Job(problem, engine, size, "time", n)
        for n in (0, 1)
        for problem in ("chain", "wide")
        for size in (100, 1_000)
        for engine in (OURS, "torch")
    ]
    job = failure.job

    def measured(asked: Job, timeout: float) -> Measurement:
        assert asked == job or asked.engine == OURS or asked.problem != job.problem
        return failure if asked == job else Measurement(asked, "ok", version="1")

    monkeypatch.setattr(running, "measured", measured)
    found = list(running.done(jobs, 1.0, lambda job: None))
    assert len(found) - 1 == left
    assert failure in found


def test_a_peer_s_failure_at_one_size_leaves_the_smaller_ones() -> None:
    failure = Measurement(Job("wide", "torch", 1_000, "time"), "timed out", version="1")
    assert running.dooms(failure, Job("wide", "torch", 10_000, "time", 1))
    assert not running.dooms(failure, Job("wide", "torch", 100, "time", 1))
    assert not running.dooms(failure, Job("wide", OURS, 10_000, "time", 1))


# Figures, table -----------------------------------------------------------------------------------


def test_jobs_and_measurements_survive_their_lines() -> None:
    job = Job("chain", "torch", 1_000, "graph", 4)
    assert Job.from_line(job.to_line()) == job
    found = Measurement(job, "ok", {"seconds": 1e-7}, "a reason", "2.13", "float64")
    assert Measurement.from_line(found.to_line()) == found


def timed(engine: str, size: int, n: int, seconds: float, problem: str = "wide") -> Measurement:
    figures = {"seconds": 2 * seconds, "forward_seconds": seconds, "backward_seconds": seconds}
    return Measurement(Job(problem, engine, size, "time", n), "ok", figures, version="1.0")


def made_up() -> list[Measurement]:
    """In every second round the machine is three times as slow; one engine grows by the square."""
    return [
        timed(engine, size, n, seconds * (1, 3)[n % 2])
        for n in range(3)
        for size in (100, 1_000)
        for engine, seconds in (
            (FLOOR, 1e-6 * size),
            (OURS, 2e-6 * size),
            ("dezero", 1e-7 * size**2),
        )
    ]


def named(measurements: Sequence[Measurement]) -> dict[str, dict[str, Estimate]]:
    return {figure.name: figure.of for figure in figures(measurements)}


def test_ratios_are_of_one_round_and_so_do_not_see_how_busy_the_machine_was() -> None:
    found = named(made_up())
    for engine, ratio in ((FLOOR, 1.0), (OURS, 2.0), ("dezero", 10.0)):
        estimate = found["× floor, N = 100"][engine]
        assert (estimate.low, estimate.median, estimate.high) == pytest.approx((ratio,) * 3)
        assert estimate.n == 3
    time = found["time an operation, N = 100"][OURS]
    assert time.high == pytest.approx(3 * time.low)


def test_exponents_are_the_power_that_time_grows_with() -> None:
    of = named(made_up())["exponent of backward"]
    assert of[OURS].median == pytest.approx(1.0)
    assert of["dezero"].median == pytest.approx(2.0)


def test_an_exponent_is_of_the_sizes_that_an_engine_came_to() -> None:
    larger = [timed(e, 10_000, n, 1e-6 * 10_000) for n in range(3) for e in (FLOOR, OURS)]
    of = named([*made_up(), *larger])["exponent of backward"]
    assert of["dezero"].median == pytest.approx(2.0)
    one = [m for m in made_up() if (m.job.engine, m.job.size) != ("dezero", 1_000)]
    assert named(one)["exponent of backward"].keys() == {FLOOR, OURS}


def test_nothing_is_a_multiple_of_nothing() -> None:
    assert over({FLOOR: {0: 0.0}, OURS: {0: 1.0}}) == {FLOOR: {}, OURS: {}}
    assert over({OURS: {0: 1.0}}) == {OURS: {}}


@pytest.mark.parametrize(
    ("found", "unit", "text"),
    [
        (Estimate(1.857, 1.81, 1.93, 5), "ratio", "1.86× (1.81-1.93)"),
        (Estimate(10.0, 10.0, 10.0, 5), "ratio", "10.0×"),
        (Estimate(10.01, 10.0, 10.02, 5), "ratio", "10.0×"),
        (Estimate(2.5e-5, 2.4e-5, 1.1e-4, 5), "seconds", "25.0 µs (24.0-110)"),
        (Estimate(0.0421, 0.0421, 0.0421, 1), "seconds", "42.1 ms"),
        (Estimate(99.99, 99.99, 99.99, 5), "ratio", "100×"),
        (Estimate(14.0001, 14.0001, 14.0001, 1), "arrays", "14.00"),
        (Estimate(472.0, 472.0, 472.0, 1), "count", "472"),
        (Estimate(131579.4, 131579.4, 131579.4, 1), "count", "131,579"),
        (Estimate(0.0, 0.0, 0.0, 1), "count", "0"),
        (Estimate(2048.0, 2048.0, 2048.0, 1), "bytes", "2.00 KiB"),
        (None, "count", "-"),
    ],
)
def test_cells(found: Estimate | None, unit: Any, text: str) -> None:
    assert table.cell(found, unit) == text


@pytest.mark.parametrize(("width", "ranges"), [(200, 1), (80, 1), (60, 0)])
def test_no_digit_is_lost_where_there_is_little_room(width: int, ranges: int) -> None:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(table.shown(made_up(), width))
    said = console.export_text()
    assert "…" not in said
    rows = [line for line in said.splitlines() if line.startswith("time an operation, N = 100 ")]
    assert len(rows) == 1
    assert rows[0].split()[-2:] == ["6.69", "µs"] if width != 200 else "(" in rows[0]
    assert said.count("(6.69-20.1)") == ranges


def reaching(*times: float, problem: str = "mlp") -> list[Measurement]:
    """Rounds in which this project's engine takes so many times as long as the floor."""
    return [
        timed(engine, 100, n, 1e-6 * (1.0 if engine == FLOOR else times[n]), problem)
        for n in range(len(times))
        for engine in (FLOOR, OURS)
    ]


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ((1.1, 1.15), "yes"),
        ((1.154, 1.154), "yes"),  # as it is printed
        ((1.1, 1.2, 1.3), "in part"),
        ((1.2, 1.3), "no"),
    ],
)
def test_a_goal_is_reached_in_all_rounds_in_some_or_in_none(
    times: tuple[float, ...], said: str
) -> None:
    (figure,) = (f for f in figures(reaching(*times)) if f.name == "× floor")
    assert figure.goal == 1.15
    assert table.reached(figure) == said


def test_the_chief_figures_stand_beside_their_goals_and_the_best_peer() -> None:
    peers = [timed(e, 100, 0, 1e-6 * n, "mlp") for e, n in (("torch", 1.4), ("dezero", 6.0))]
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(table.shown([*reaching(1.1), *peers], 120))
    (row,) = (line for line in console.export_text().splitlines() if "mlp: × floor" in line)
    assert row.split()[3:] == ["1.15×", "1.10×", "yes", "torch", "1.40×", "1.00×"]


def test_every_chief_figure_is_one_that_there_is() -> None:
    """Measured in no time, of each kind and at each size, by all engines that a figure needs."""
    readings = dict.fromkeys(
        "seconds forward_seconds backward_seconds operation_bytes operation_objects_count "
        "operation_instructions_count forward_peak_bytes peak_bytes forward_growth_bytes "
        "forward_garbage_count both_growth_bytes both_garbage_count".split(),
        1.0,
    )
    jobs = running.planned(list(PROBLEMS), [FLOOR, OURS, *PEERS], 1, quick=False)
    found = figures([Measurement(job, "ok", readings) for job in jobs])
    wanted = {(problem.name, name) for problem in PROBLEMS.values() for name in problem.chief}
    assert {(f.problem, f.name) for f in found if f.chief} == wanted


def test_remarks_say_each_thing_once_and_what_is_missing() -> None:
    over = Measurement(Job("wide", "dezero", 10_000, "time"), "timed out", why="took longer")
    lack = Measurement(Job("newton", "mygrad", 10, "time"), "missing", why="has no second")
    broken = Measurement(Job("chain", "torch", 100, "time"), "failed", why="does not import: Oh")
    assert table.remarks([over, lack, broken, lack]) == [
        "dezero: wide, N = 10,000, time: took longer",
        "mygrad: newton: has no second",
        "torch: does not import: Oh",
    ]


# The command --------------------------------------------------------------------------------------


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> SimpleNamespace:
    """The command without measuring: everything takes a microsecond, but for what a test says."""
    monkeypatch.chdir(tmp_path)
    there = {"torch"}
    faked = SimpleNamespace(jobs=[], there=there, become={})

    def measured(job: Job, timeout: float) -> Measurement:
        faked.jobs.append(job)
        become: Callable[[Job], Measurement] | None = faked.become.get(job.engine)
        return become(job) if become else timed(job.engine, job.size, job.round, 1e-6, job.problem)

    monkeypatch.setattr(running, "measured", measured)
    monkeypatch.setattr("experiments.cli.benching.installed", lambda peer: peer in there)
    return faked


def test_bench_measures_what_is_there_and_names_what_is_not(
    bench: SimpleNamespace, capsys: Captured
) -> None:
    assert cli.main(["bench"]) == 0
    said = capsys.readouterr().out
    assert {job.engine for job in bench.jobs} == {FLOOR, OURS, "torch"}
    assert {job.problem for job in bench.jobs} == set(PROBLEMS)
    assert {job.round for job in bench.jobs} == set(range(5))
    for peer in PEERS:
        absent = f"{peer}: not installed here; pip install {peer} brings it."
        assert (absent in said) == (peer != "torch")
    for problem in PROBLEMS.values():
        assert problem.says in said


def test_bench_takes_problems_peers_and_rounds(bench: SimpleNamespace, capsys: Captured) -> None:
    assert cli.main(["bench", "mlp", "rnn", "--alone", "--rounds", "2"]) == 0
    assert {job.problem for job in bench.jobs} == {"mlp", "rnn"}
    assert {job.engine for job in bench.jobs} == {FLOOR, OURS}
    assert "not installed" not in capsys.readouterr().out
    bench.jobs.clear()
    assert cli.main(["bench", "wide", "--peer", "torch", "--quick"]) == 0
    assert {job.engine for job in bench.jobs} == {FLOOR, OURS, "torch"}
    assert {job.round for job in bench.jobs} == {0, 1}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["chian"], "Did you mean 'chain'?"),
        (["--peer", "tourch"], "Did you mean 'torch'?"),
        (["--peer", "mygrad"], "pip install mygrad"),
        (["--alone", "--peer", "torch"], "give one of the two"),
        (["--json", "nowhere/bench.json"], "cannot be written"),
    ],
)
def test_bench_says_what_was_not_understood(
    bench: SimpleNamespace, capsys: Captured, arguments: list[str], said: str
) -> None:
    assert cli.main(["bench", *arguments]) == 2
    assert said in flat(capsys.readouterr().err)
    assert not bench.jobs


def test_bench_keeps_measurements_and_figures(bench: SimpleNamespace, capsys: Captured) -> None:
    arguments = ["bench", "wide", "-o", "kept", "--json", "bench.json", "--rounds", "2"]
    assert cli.main(arguments) == 0
    lines = Path("kept/bench.jsonl").read_text().splitlines(keepends=True)
    measurements = [Measurement.from_line(line) for line in lines]
    assert [m.job for m in measurements] == bench.jobs
    found = json.loads(Path("bench.json").read_text())
    assert [Measurement(**{**m, "job": Job(**m["job"])}) for m in found["measurements"]] == (
        measurements
    )
    ratio = next(f for f in found["figures"] if f["name"] == "× floor, N = 100")
    assert (ratio["chief"], ratio["goal"]) == (False, None)
    assert ratio["of"]["torch"] == {"median": 1.0, "low": 1.0, "high": 1.0, "n": 2}
    assert found["environment"]["numpy"] == np.__version__
    assert set(found["absent"]) == set(PEERS) - {"torch"}
    bench.jobs.clear()
    assert cli.main(arguments) == 2
    assert "Give another folder" in flat(capsys.readouterr().err)
    assert not bench.jobs


def test_a_peer_that_fails_is_a_line_and_this_engine_s_failure_an_exit_code(
    bench: SimpleNamespace, capsys: Captured
) -> None:
    bench.become["torch"] = lambda job: Measurement(job, "failed", why="does not import: Oh")
    assert cli.main(["bench", "wide"]) == 0
    assert "torch: does not import: Oh" in capsys.readouterr().out
    bench.become[OURS] = lambda job: Measurement(job, "wrong", why="wrong gradients: off")
    assert cli.main(["bench", "wide"]) == 1
    assert "autodiff: wide, N = 100, time: wrong gradients: off" in capsys.readouterr().out


def test_broken_off_shows_what_there_is(bench: SimpleNamespace, capsys: Captured) -> None:
    def interrupt(job: Job) -> Measurement:
        raise KeyboardInterrupt

    bench.become["torch"] = interrupt
    assert cli.main(["bench", "goldstein_price"]) == 130
    captured = capsys.readouterr()
    assert "Broken off after 2 of" in captured.err
    assert "time, shape ()" in captured.out


def test_help_teaches(capsys: Captured) -> None:
    assert cli.main(["bench", "--help"]) == 0
    said = capsys.readouterr().out
    for word in (*PROBLEMS, "pip install '.[peers]'", "--quick", "130"):
        assert word in said


def test_problems_are_told_apart() -> None:
    made: list[Problem] = list(PROBLEMS.values())
    assert all(p.says.endswith(".") for p in made)
    for problem in made:
        inputs, again = problem.made(SMALL[problem.name]), problem.made(SMALL[problem.name])
        assert all(np.array_equal(a, b) for a, b in zip(inputs[0], again[0], strict=True))
