"""A run that nobody ran: records as the harness writes them, of every kind that a report meets."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from experiments.trial import Collector, Record, Trial

MODES: dict[str, dict[str, Any]] = {
    "step16": {"output_refs": "strong", "kept": "inputs", "retain_grad": True},
    "step17": {"output_refs": "weak", "kept": "inputs", "retain_grad": True},
    "step18": {"output_refs": "weak", "kept": "inputs", "retain_grad": False},
    "lean": {"output_refs": "weak", "kept": "declared", "retain_grad": False},
    "no_grad": {"output_refs": "weak", "kept": "declared", "retain_grad": False},
}
WORKLOADS: dict[str, dict[str, Any]] = {
    "square_loop": {"rounds": 10, "size": 10_000, "backward": False},
    "chain": {"kind": "square", "length": 50, "size": 131_072},
    "mlp_digits": {"hidden": 128, "layers": 2, "batch": 500, "epochs": 15, "learning_rate": 0.5},
}
INSTRUMENTS: dict[str, tuple[int, tuple[Collector, ...]]] = {
    "traced": (2, ("off",)),
    "resident": (2, ("off",)),
    "lines": (1, ("off",)),
    "cycles": (1, ("off",)),
    "collector": (5, ("on",)),
    "clock": (5, ("on",)),
    "operations": (1, ("off",)),
}


def record(
    workload: str = "chain",
    mode: str = "lean",
    instrument: str = "traced",
    *,
    collector: Collector = "off",
    repeat: int = 0,
    study: str = "ladder",
    parameters: Mapping[str, Any] | None = None,
    **fields: Any,
) -> Record:
    """One record; what is not given is as the made-up run has it."""
    given = WORKLOADS.get(workload, {}) if parameters is None else parameters
    trial = Trial(study, workload, given, mode, instrument, collector, repeat)
    told: dict[str, Any] = {
        "outcome": "ok",
        "memory_mode": memory_mode(mode),
        "environment": environment(repeat),
        "phase": "collected",
    }
    return Record(trial, **told | fields)


def memory_mode(mode: str) -> dict[str, Any]:
    fields = MODES.get(mode, {})
    graph = mode in ("step16", "step17", "step18")
    return {"enable_backprop": mode != "no_grad", **fields, "retain_graph": graph}


def environment(repeat: int) -> dict[str, Any]:
    return {
        "python": "3.11.7",
        "numpy": "2.4.6",
        "platform": "Linux-6.18-x86_64",
        "pins": {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"},
        "gc_threshold": [700, 10, 10],
        "load_average": 0.5 + repeat / 7,
    }


def run(study: str = "ladder") -> list[Record]:
    """A whole run of the ladder on three workloads."""
    return [
        record(
            workload,
            mode,
            instrument,
            collector=collector,
            repeat=repeat,
            study=study,
            **found(workload, mode, instrument, collector, repeat),
        )
        for workload, mode, instrument in itertools.product(WORKLOADS, MODES, INSTRUMENTS)
        for collector in INSTRUMENTS[instrument][1]
        for repeat in range(INSTRUMENTS[instrument][0])
    ]


def failures() -> list[Record]:
    """One trial of each way to end badly."""
    return [
        record(
            "chain",
            "step16",
            "traced",
            repeat=8,
            outcome="killed",
            phase="forward",
            readings={},
            error="killed by signal 9 (SIGKILL)",
        ),
        record(
            "chain",
            "lean",
            "clock",
            collector="on",
            repeat=8,
            outcome="timed out",
            phase="backward",
            readings={},
            error="no end after 120 s",
        ),
        record(
            "mlp_digits",
            "step17",
            "cycles",
            repeat=8,
            outcome="failed",
            phase="built",
            readings={},
            error="MemoryError: no room for 1 MiB | with <script>alert(1)</script>\n"
            '  File "somewhere.py", line 1, in somebody',
        ),
    ]


def found(workload: str, mode: str, instrument: str, collector: str, repeat: int) -> dict[str, Any]:
    """What a trial of the made-up run found."""
    shape = Shape(workload, mode)
    results = (
        {"y_sum": 1234.5678901234567}
        if mode == "no_grad"
        else {"y_sum": 1234.5678901234567, "gx_sum": -0.1}
    )
    read = {
        "traced": shape.traced,
        "resident": shape.resident,
        "lines": shape.lines,
        "cycles": shape.cycles,
        "collector": shape.collector,
        "clock": shape.clock,
        "operations": shape.operations,
    }[instrument]
    return {"results": results, **read(collector, repeat)}


def moment(phase: str, live: int, peak: int) -> dict[str, Any]:
    return {"phase": phase, "live_bytes": live, "peak_bytes": peak}


def line(
    number: int, source: str, turns: int = 0, grown: int | None = None, most: int | None = None
) -> dict[str, Any]:
    return {
        "line": number,
        "source": source,
        "occurrences": turns,
        "increment_bytes": grown,
        "resident_bytes": most,
    }


class Shape:
    """How one workload rises and falls in one mode."""

    def __init__(self, workload: str, mode: str) -> None:
        self.mode = mode
        self.backward = workload != "square_loop" and mode != "no_grad"
        self.array, self.arrays, self.rounds = {
            "square_loop": (80_000, 4, 10),
            "chain": (1_048_576, 51, 1),
            "mlp_digits": (512_000, 6, 45),
        }[workload]
        self.floor = self.array * (2 if mode == "no_grad" else self.arrays)

    def steps(self) -> Iterator[dict[str, Any]]:
        """Each moment of the trial: bytes alive, and the highest since the moment before."""
        graph, left = self.array * self.arrays, 0
        forward = {"lean": graph // 2, "no_grad": self.array}.get(self.mode, graph)
        after = {"step18": graph, "lean": self.array}.get(self.mode, 2 * graph)
        yield moment("built", 2_000, 2_000)
        for _ in range(self.rounds):
            held = forward
            yield moment("forward", left + held, left + held + self.array)
            if self.backward:
                held = after
                yield moment("backward", left + held, left + held + self.array)
            if self.mode == "step16":
                left += held
            yield moment("step", max(left, held), left + held)
        yield moment("dropped", left + 160, left + held)
        yield moment("collected", 160, left + 160)

    def traced(self, collector: str, repeat: int) -> dict[str, Any]:
        steps = list(self.steps())
        live = {step["phase"]: step["live_bytes"] for step in steps}
        readings = {
            "peak_bytes": max(step["peak_bytes"] for step in steps)
            + 640 * repeat * (self.mode == "step18"),
            "built_bytes": live["built"],
            "live_after_forward_bytes": live["forward"],
            "left_bytes": live["dropped"],
            "left_array_bytes": live["dropped"] - 160,
            "left_after_collection_bytes": live["collected"],
        }
        if self.backward:
            readings["live_after_backward_bytes"] = live["backward"]
        moments = [s for s in steps if s["phase"] in ("forward", "backward", "step")]
        return {"readings": readings, "details": {"steps": moments}}

    def resident(self, collector: str, repeat: int) -> dict[str, Any]:
        steps = list(self.steps())
        apart = 0.011
        curve, phases = [], []
        for n, step in enumerate(steps):
            for part in range(4):
                share = part / 4
                before = steps[max(0, n - 1)]["live_bytes"]
                curve.append(
                    [(n + share) * apart, before + (step["live_bytes"] - before) * share + 90_000]
                )
            phases.append([(n + 1) * apart, step["phase"]])
        sampled = max(held for _, held in curve)
        peak = sampled * (1.3 if self.mode == "no_grad" else 1.01) + 4096 * repeat
        readings = {
            "peak_resident_bytes": peak,
            "sampled_peak_resident_bytes": sampled,
            "left_resident_bytes": steps[-2]["live_bytes"] + 90_000,
            "left_after_collection_resident_bytes": 90_000,
            "largest_gap_seconds": 0.0123,
        }
        return {
            "readings": readings,
            "unavailable": {"unique_left_bytes": "the kernel does not tell which pages are shared"},
            "details": {"curve": curve, "phases": phases, "peak_missed": self.mode == "no_grad"},
        }

    def lines(self, collector: str, repeat: int) -> dict[str, Any]:
        grown = self.array * self.arrays
        rows: list[dict[str, Any]] = [
            line(1, "def step(probe):", 1, 0, 4096),
            line(2, "    for _ in range(rounds):", self.rounds + 1, 0, grown),
            line(3, "        y = compute()", self.rounds, grown, grown),
            line(4, "    if not rounds:", 1, 0, grown),
            line(5, "        pass"),
        ]
        return {"readings": {"largest_line_bytes": grown}, "details": {"lines": rows}}

    def cycles(self, collector: str, repeat: int) -> dict[str, Any]:
        n = self.arrays * self.rounds if self.mode == "step16" else 0
        return {
            "readings": {
                "cycle_count": n,
                "cycle_objects_count": 2 * n,
                "cycle_bytes": n * self.array,
                "collected_objects_count": 2 * n,
            },
            "details": {
                "shapes": [
                    {
                        "types": {"Square": 1, "Variable": 1},
                        "count": n,
                        "objects": 2 * n,
                        "bytes": n * self.array,
                        "each_bytes": [self.array, self.array],
                    }
                ]
                if n
                else [],
                "cross_check": {
                    "census_objects_count": 2 * n,
                    "collected_objects_count": 2 * n,
                    "census_array_bytes": n * self.array,
                    "freed_array_bytes": n * self.array,
                    "kept_array_bytes": 0,
                },
            },
        }

    def collector(self, collector: str, repeat: int) -> dict[str, Any]:
        runs = 4 + repeat
        return {
            "readings": {
                "collector_runs_count": runs,
                "collector_collected_count": 1_300 if self.mode == "step16" else 0,
                "collector_pause_seconds": 0.001 * runs,
                "longest_pause_seconds": 0.0012,
            },
            "details": {
                "collections": [
                    {
                        "generation": 0,
                        "runs_count": runs,
                        "collected_count": 1_300 if self.mode == "step16" else 0,
                        "pause_seconds": 0.001 * runs,
                    }
                ]
            },
        }

    def clock(self, collector: str, repeat: int) -> dict[str, Any]:
        slow = {"step16": 1.3, "step17": 1.22, "step18": 1.1, "lean": 1.0}.get(self.mode, 0.4)
        wall = 0.02 * slow * self.rounds * (1 + 0.04 * repeat)
        readings = {"wall_seconds": wall, "cpu_seconds": wall * 0.97, "forward_seconds": wall * 0.4}
        if self.backward:
            readings["backward_seconds"] = wall * 0.6
        return {"readings": readings}

    def operations(self, collector: str, repeat: int) -> dict[str, Any]:
        return {
            "readings": {"floor_bytes": self.floor, "operation_count": self.arrays * self.rounds}
        }


# A sweep over ways to buy memory ------------------------------------------------------------------

S = 262_144  # bytes of an array of its chain, of a hundred operations


def sweep() -> list[Record]:
    """A chain and a graph that is none, with less and less memory, in several ways."""
    return [
        *point("deep_chain", 102 * S, 0),
        *point("deep_chain", 21 * S, 81, recompute="segments", segments=10),
        *point("deep_chain", 5 * S + 8, 746, recompute="binomial", arrays=5),
        *point("deep_chain", 10 * S + 8, 156, recompute="binomial", arrays=10),
        *point("deep_chain", 19 * S, 130, recompute="budget", arrays=20),
        *point("deep_chain", 23 * S, 99, recompute="budget", arrays=21),
        *point("deep_chain", 3 * S, None, recompute="binomial", arrays=3),
        *point("deep_chain", 27 * S, 0, packer="half", off=1e-4),
        *point("long_skips", 42 * S, 0),
        *point("long_skips", 25 * S, 34, recompute="budget", arrays=25),
    ]


def point(
    workload: str, peak: float, again: int | None, *, off: float = 0.0, **how: Any
) -> list[Record]:
    """The records of one point; of one that is refused where nothing is computed again at all."""
    graph = {
        "deep_chain": {"kind": "sin", "length": 100, "size": S // 8, "segments": 10},
        "long_skips": {"depth": 20, "size": S // 8},
    }[workload]
    parameters = {**graph, "recompute": "none", "arrays": 21, "packer": "none", **how}
    first, refused = graph.get("length", 60) + 2, again is None
    needed = {"refused": 1.0, "least_bytes": 4.0 * S}
    results = needed if refused else {"y_sum": 3.0, "gradients_sum": 2.0 * (1 - off)}
    seconds = 0.02 * (1 + (again or 0) / first)

    def one(instrument: str, repeat: int = 0, **readings: float) -> Record:
        return record(
            workload,
            "lean",
            instrument,
            repeat=repeat,
            study="recomputation",
            parameters=parameters,
            readings=readings,
            results=results,
        )

    return [
        one("traced", peak_bytes=peak + 30_000, live_after_forward_array_bytes=peak - 3 * S),
        one("arrays", peak_array_bytes=peak),
        one("evaluations", evaluations_count=first + (again or 0), recomputed_count=again or 0),
        *(one("clock", n, wall_seconds=seconds * (1 + n / 50)) for n in range(3)),
    ]
