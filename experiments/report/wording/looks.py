"""How modes, measures, roles and phases look, the same all over the report.

A mode has a colour (Okabe and Ito's, which colour-blind readers can tell apart), a line and a shape
of its own, so that it can be told without its colour; a measure has a pattern, a phase a marker.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from experiments.estimates import Arm, arm
from experiments.trial import Collector, Record


@dataclass(frozen=True)
class ModeLook:
    colour: str
    dash: str
    marker: str


# In the order in which a reader of the book meets them; a mode of another name comes after these.
MODES = {
    "step16": ModeLook("#D55E00", "solid", "circle"),
    "step17": ModeLook("#E69F00", "dashed", "square"),
    "step18": ModeLook("#0072B2", "dashdot", "triangle"),
    "lean": ModeLook("#009E73", "solid", "diamond"),
    "no_grad": ModeLook("#CC79A7", "dotted", "inverted_triangle"),
}
OTHERS = (
    ModeLook("#56B4E9", "dotdash", "hex"),
    ModeLook("#8C8C8C", "dashed", "star"),
    ModeLook("#B0A000", "dotted", "plus"),
)

# From the easiest to understand on; a workload of another name comes after these.
WORKLOADS = {
    "square_loop": "The loop of the book's step 17: round after round, a new graph takes over the "
    "names of the last one.",
    "chain": "One operation after the other on large arrays, forward and backward.",
    "funnel": "Arrays that halve at every stage, wide early and narrow late, forward and backward.",
    "goldstein_price": "Many operations on single numbers, forward and backward: what the graph "
    "itself costs.",
    "mlp_digits": "A small network learns to read real handwritten digits.",
    "inference": "The same kind of network only answers: forward, and nobody wants a gradient.",
    "cnn_digits": "A small convolutional network learns to read the same digits.",
    "lstm_sine": "An LSTM learns to continue a sine, and the graph is cut off every so many steps.",
    "lstm_sine_whole": "The same LSTM, and the graph goes back to the start of the sequence.",
    "losses_kept": "A network in training, and a list of its losses, to be plotted later.",
    "newton": "Newton's method for many numbers at once: second derivatives by two passes.",
    "gradient_penalty": "A loss that a gradient is part of, and that gradient kept with its graph.",
    "tanh_derivatives": "Derivatives of tanh, one of another: each graph is larger than the last.",
    "deep_chain": "A long chain of operations that are all alike: the best that can be done with "
    "less memory is known exactly.",
    "uneven_layers": "A network of layers of unequal width: what is worth holding is a matter of "
    "size and of cost.",
    "long_skips": "A graph that is no chain: what goes in early comes back late.",
}


@dataclass(frozen=True)
class Pair:
    """Workloads that differ in one thing, and the modes in which they are set side by side."""

    workloads: tuple[str, ...]
    modes: tuple[str, ...]
    says: str


PAIRS = (
    Pair(
        ("lstm_sine", "lstm_sine_whole"),
        ("lean", "step18"),
        "The same LSTM learns from the same sequence. One graph is cut off every so many steps, "
        "and the other goes back to the start.",
    ),
)

PHASES = {
    "built": ("square_pin", "◇", "built"),
    "forward": ("triangle", "▲", "forward done"),
    "backward": ("inverted_triangle", "▼", "backward done"),
    "step": ("circle", "●", "round over"),
    "dropped": ("x", "✕", "last reference dropped"),
    "collected": ("diamond", "◆", "collector called"),
}


@dataclass(frozen=True)
class RoleLook:
    colour: str
    hatch: str  # a pattern, so that a band can be told without its colour
    said: str  # what an array of this role is


# What an array is for. The fills are Paul Tol's light ones: no mode has one of them.
ROLES = {
    "parameter": RoleLook("#77AADD", " ", "stood before the measurement: parameters and data"),
    "input": RoleLook("#99DDFF", "dot", "made by the workload itself: a batch, an update"),
    "activation": RoleLook("#44BB99", " ", "made by an operation, and taken by others"),
    "output": RoleLook("#BBCC33", "cross", "made by an operation, and taken by none"),
    "gradient": RoleLook("#EE8866", " ", "made by a gradient rule or elsewhere in backward"),
    "temporary": RoleLook("#FFAABB", "/", "gone when the operation or rule was over"),
}


# How memory is bought: by computing again, in one way or another, or by packing.
WAYS = {
    "none": ModeLook("#8C8C8C", "solid", "circle"),
    "segments": ModeLook("#E69F00", "dashed", "square"),
    "binomial": ModeLook("#009E73", "solid", "diamond"),
    "budget": ModeLook("#0072B2", "dashdot", "triangle"),
    "half": ModeLook("#CC79A7", "dotted", "hex"),
    "compressed": ModeLook("#56B4E9", "dotted", "star"),
    "disk": ModeLook("#D55E00", "dotted", "plus"),
}
WAYS_SAID = {
    "none": "nothing is computed again",
    "segments": "segments of one length, each computed again from its first value",
    "binomial": "the best schedule within a budget (Griewank & Walther 2000)",
    "budget": "a budget for any graph: what is cheapest to make again goes first "
    "(Kirisame et al. 2021)",
    "half": "kept arrays in half precision",
    "compressed": "kept arrays compressed",
    "disk": "kept arrays in a file",
}


COLLECTORS: tuple[Collector, ...] = ("off", "on", "each step")


def mode_look(mode: str) -> ModeLook:
    """The look of a mode, which is the same for the same name in every run."""
    return MODES.get(mode) or OTHERS[sum(mode.encode()) % len(OTHERS)]


def in_order(arms: Iterable[Arm]) -> list[Arm]:
    """Arms in the ladder's order, and in the collector's within a mode."""
    ladder = list(MODES)

    def place(a: Arm) -> tuple[int, str, int]:
        rung = ladder.index(a.mode) if a.mode in ladder else len(ladder)
        return rung, a.mode, COLLECTORS.index(a.collector)

    return sorted(set(arms), key=place)


def arms_of(records: Iterable[Record], instrument: str) -> list[Arm]:
    """The arms that an instrument was tried in, however it ended, in order."""
    return in_order(arm(r) for r in records if r.trial.instrument == instrument)
