"""`experiments graph`: who holds whom, as a picture or in words."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter, validators

from autodiff import MODES
from experiments import refgraph
from experiments.cli import scripting
from experiments.cli.choices import named, parameters
from experiments.cli.endings import OK, SOME_FAILED, UsageError
from experiments.cli.progress import say, trial_text
from experiments.instruments.graph import ReferenceGraph
from experiments.process import run_trial
from experiments.refgraph import rendering
from experiments.refgraph.model import Graph
from experiments.trial import Record, Trial, Value
from experiments.workloads import WORKLOADS

Phase = Literal["built", "forward", "backward", "step", "dropped", "collected"]

STUDY = "graph"  # what its trials are of: none that a run has
DEFAULT_MODE = "lean"  # as of the engine itself, and of `run --script`
FIRST_CHOICE: tuple[Phase, ...] = ("forward", "step", "built")
SOON = 2.0  # seconds after which a person wants to know what goes on

MOMENTS: Mapping[str, str] = {
    "built": "when it is built",
    "forward": "after forward",
    "backward": "after backward",
    "step": "after a step",
    "dropped": "when the last reference is dropped",
    "collected": "after a collection",
}

HELP = (
    "For example:\n\n"
    "  experiments graph square_loop          in words: what there is, what holds it\n"
    "  experiments graph square_loop --why y  what keeps y alive\n\n"
    "  One operation whose Function holds its result, as a picture:\n"
    "  experiments graph chain -s chain.length=1 -m step16 -o one.svg\n\n"
    "  A page that zooms, searches and folds:\n"
    "  experiments graph mlp_digits --at backward -o lean.html\n\n"
    "  What only one of two modes refers to:\n"
    "  experiments graph chain -s chain.length=3 --diff step16 lean -o both.svg\n\n"
    "  The computation graph of a third derivative:\n"
    "  experiments graph tanh_derivatives -s tanh_derivatives.order=3 \\\n"
    "      --at backward --computation -o third.svg\n\n"
    "  A function of your own:\n"
    "  experiments graph --script mine.py:train -o mine.html\n\n"
    "A phase that comes more than once is looked at when it comes the last time.\n\n"
    "Exit code: 0 all went well; 1 the trial failed, or there is no picture;\n"
    "2 the command was not understood.\n"
)


@dataclass(frozen=True)
class Drawing:
    """What of the computation graph is to be seen; None where not it is drawn."""

    names: bool
    shapes: bool
    dtypes: bool


def graph_(
    workload: str | None = None,
    /,
    *,
    mode: Annotated[str, Parameter(name=["--mode", "-m"])] = DEFAULT_MODE,
    at: Phase | None = None,
    set_: Annotated[list[str] | None, Parameter(name=["--set", "-s"], negative="")] = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    why: Annotated[list[str] | None, Parameter(negative="")] = None,
    diff: Annotated[tuple[str, str] | None, Parameter(negative="")] = None,
    computation: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    names: bool = True,
    shapes: bool = False,
    dtypes: bool = False,
    most: Annotated[int, Parameter(validator=validators.Number(gt=0))] = refgraph.MOST,
    timeout: Annotated[float, Parameter(validator=validators.Number(gt=0))] = 120.0,
    script: str | None = None,
    rounds: Annotated[int | None, Parameter(validator=validators.Number(gt=0))] = None,
) -> int:
    """Show who holds whom: the live objects of a workload, in a process of its own.

    Without --output it is told in words.

    Parameters
    ----------
    workload
        What to run; `experiments list` shows all of them.
    mode
        The memory mode: lean if not given, as wherever code runs without choosing one. step16 is
        the one with most to be seen.
    at
        The phase of the trial to look at. Without it forward, where the graph stands.
    set_
        A parameter of the workload, as in chain.length=5; several times for several.
    output
        The file to write, which says by its ending what: .html to look around in, .svg or .png a
        picture, .dot for other programs, .json the graph itself.
    why
        The chains that keep an object alive: give a name, or an id as the graph has it.
    diff
        Two memory modes: what is referred to in one and not in the other.
    computation
        The computation graph alone, as the book draws it: Variables and Functions.
    names
        In the computation graph, the Variables' names.
    shapes
        In the computation graph, the shapes.
    dtypes
        In the computation graph, the dtypes.
    most
        How many boxes to show, where a run of like objects is one. Of what is more than that, the
        objects nearest to the step's variables are shown.
    timeout
        Seconds after which the trial is ended.
    script
        A file of yours, FILE.py or FILE.py:FUNCTION, in place of a workload, as for `run`.
    rounds
        How often the trial calls a --script; 5 if not given.
    """
    _check_ending(output)
    drawing = Drawing(names, shapes, dtypes) if computation else None
    subject, given = _subject(workload, script, set_ or (), rounds, timeout)
    modes = [named("mode", MODES, m) for m in diff or (mode,)]
    graphs = []
    for one in modes:
        trial = Trial(STUDY, subject, given, one, ReferenceGraph.name)
        record = _run(trial, at, most, drawing, timeout)
        if record.outcome != "ok":
            say(f"{record.outcome}: {trial_text(trial)}: {record.error}")
            return SOME_FAILED
        graphs.append(_graph(record, at))
    graph = refgraph.difference(graphs[0], graphs[1], diff).graph if diff else graphs[0]
    return _shown(graph, why or (), output)


def _check_ending(output: Path | None) -> None:
    """Raises UsageError for a file whose name does not say what it is to be."""
    if output is not None and output.suffix.removeprefix(".") not in rendering.ENDINGS:
        raise UsageError(
            f"--output {output}: a name is needed that ends in one of "
            f"{', '.join(f'.{ending}' for ending in rendering.ENDINGS)}."
        )


def _subject(
    workload: str | None,
    script: str | None,
    settings: Sequence[str],
    rounds: int | None,
    timeout: float,
) -> tuple[str, dict[str, Value]]:
    """What to run, and its parameters."""
    if (workload is None) == (script is None):
        raise UsageError(
            "Give a workload or a --script, and not both: `experiments list` shows the workloads."
        )
    if script is not None:
        subject = scripting.named(script)
        parameters(settings, [subject])
        return subject, scripting.parameters(subject, rounds, timeout)
    assert workload is not None
    if rounds is not None:
        raise UsageError("--rounds is for --script; other workloads have it as a parameter.")
    subject = named("workload", WORKLOADS, workload)
    chosen = parameters(settings, [subject]).get(subject, {})
    return subject, {**WORKLOADS[subject].defaults, **chosen}


def _run(
    trial: Trial, at: Phase | None, most: int, drawing: Drawing | None, timeout: float
) -> Record:
    asked: dict[str, Any] = {"at": [at] if at else FIRST_CHOICE, "most": most}
    if drawing is not None:
        asked["computation"] = vars(drawing)
    with _told(f"Running {trial.workload} under {trial.mode} in a process of its own ..."):
        return run_trial(trial, timeout=timeout, asked=asked)


@contextmanager
def _told(sentence: str) -> Iterator[None]:
    """Say what goes on, if it takes longer than people like to wait."""
    timer = threading.Timer(SOON, say, [sentence])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _graph(record: Record, at: Phase | None) -> Graph:
    """The graph of a phase of a trial, with its title and what it was made of."""
    trial, graphs = record.trial, record.details["graphs"]
    passed: Mapping[str, int] = record.details["rounds"]
    phase: str = at or next(p for p in FIRST_CHOICE if p in graphs)
    if not passed.get(phase, 1):
        there = [p for p in MOMENTS if passed.get(p, 1)]
        raise UsageError(
            f"--at {phase}: {trial.workload} under {trial.mode} does not come to it. It has: "
            f"{', '.join(there)}."
        )
    rounds = passed.get(phase, 0)
    times = f", round {rounds} of {rounds}" if rounds > 1 else ""
    environment = record.environment
    return replace(
        Graph.from_json(json.loads(graphs[phase])),
        title=f"{trial.workload} under {trial.mode}, {MOMENTS[phase]}{times}",
        facts={
            "workload": trial.workload,
            "parameters": dict(trial.parameters),
            "mode": trial.mode,
            "phase": phase,
            "python": environment.get("python", ""),
            "numpy": environment.get("numpy", ""),
        },
    )


def _shown(graph: Graph, asked: Sequence[str], output: Path | None) -> int:
    """Write or tell a graph, and answer why something is alive."""
    try:
        answers = {what: refgraph.why(graph, what) for what in asked}
    except refgraph.NotInGraph as error:
        raise UsageError(f"--why: {error}.") from None
    for what, chains in answers.items():
        print(f"{what} is alive by")
        for chain in chains:
            print(f"  {chain.words}")
        if not chains:
            print("  nothing that this graph shows")
    if output is None:
        if not asked:
            print(refgraph.summary(graph))
        return OK
    return _written(graph, output)


def _written(graph: Graph, output: Path) -> int:
    try:
        with _told(f"Drawing {len(graph.nodes):,} objects ..."):
            print(rendering.save(graph, output))
    except rendering.NotDrawn as error:
        print(error, file=sys.stderr)
        return SOME_FAILED
    except OSError as error:
        raise UsageError(f"--output {output} cannot be written: {error.strerror}.") from None
    return OK
