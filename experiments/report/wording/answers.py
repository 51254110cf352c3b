"""The question of each study, and its answer in three sentences made from the figures.

Nothing here knows the outcome: a sentence says what the records show, whichever way that is, or
that they cannot tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from experiments.estimates import (
    NOTHING_BYTES,
    Arm,
    ByCase,
    Estimate,
    Subject,
    by_case,
    collector_of,
    differ,
    pairs,
    ratio,
)
from experiments.report.sections import script
from experiments.report.wording import recomputing
from experiments.report.wording.accuracy import UNCALIBRATED, Calibrations
from experiments.report.wording.pythons import (
    cycles_apart,
    peaks_without_collector,
    strong_with_collector,
)
from experiments.report.wording.times import collecting_cost, cost, fastest
from experiments.report.wording.words import (
    between_text,
    bytes_text,
    collector_text,
    counted,
    format_of,
    listed,
    seconds_text,
    short,
    subject_names,
)
from experiments.trial import Collector, Record

Sentence = Callable[[Sequence[Record]], str]
Timed = Callable[[Sequence[Record], Calibrations], str]
Pairs = Mapping[Subject, tuple[Estimate, Estimate]]


@dataclass(frozen=True)
class Asked:
    """What a study asks, and what makes each sentence of its answer."""

    question: str
    sentences: Sequence[Sentence]
    of_time: Timed | None = None  # the last sentence, where it is about time
    everywhere: bool = False  # whether it is about all environments that the folder has records of


@dataclass(frozen=True)
class Answer:
    """A study's question and its answer, for a reader who did not run it."""

    study: str
    question: str
    sentences: Sequence[str]


def answers(
    records: Sequence[Record],
    everywhere: Sequence[Record] = (),
    calibrations: Calibrations = UNCALIBRATED,
) -> list[Answer]:
    """The question and the answer of each study in the records.

    everywhere: those of all environments, where there are more than one.
    """
    names = dict.fromkeys(r.trial.study for r in records)
    return [_answer(name, records, everywhere or records, calibrations) for name in names]


def _answer(
    name: str,
    here: Sequence[Record],
    everywhere: Sequence[Record],
    calibrations: Calibrations,
) -> Answer:
    asked = ASKED.get(name, ANYTHING)
    records = [r for r in (everywhere if asked.everywhere else here) if r.trial.study == name]
    if not any(r.outcome == "ok" for r in records):
        none = f"No answer: {counted(len(records), 'trial')} ran, and none ended well."
        return Answer(name, asked.question, [none])
    said = [sentence(records) for sentence in asked.sentences]
    of_time = [asked.of_time(records, calibrations)] if asked.of_time else []
    return Answer(name, asked.question, [*said, *of_time])


def effect(
    records: Sequence[Record],
    reading: str,
    before: str,
    after: str,
    *,
    doing: str,
    what: str,
    forward_only: bool = False,
) -> str:
    """On how many workloads a change of mode lowered a figure, raised it or left it alone."""
    cases = by_case(records, reading)
    collector = collector_of(cases)
    both = pairs(cases, Arm(before, collector), Arm(after, collector))
    if forward_only:
        with_backward = by_case(records, "live_after_backward_bytes")
        both = {s: pair for s, pair in both.items() if s not in with_backward} or both
    return moved(both, reading, doing, what.format(collector=collector_text(collector)))


def moved(both: Pairs, reading: str, doing: str, what: str) -> str:
    """On how many workloads the second figure lies under the first, over it, or where it was."""
    if not both:
        return f"Whether {doing} changed {what} cannot be told: no workload has figures of both."
    differing = {s: pair for s, pair in both.items() if differ(*pair, nothing=_nothing(reading))}
    lowered = {s: pair for s, pair in differing.items() if pair[1].median < pair[0].median}
    raised = {s: pair for s, pair in differing.items() if s not in lowered}
    parts = [
        f"{word} {{}} on {_share(group, both)}{_most(group, both, reading)}"
        for word, group in (("lowered", lowered), ("raised", raised))
        if group
    ]
    same = len(both) - len(differing)
    if same:
        rest = f"the other {same}" if parts and same > 1 else "the other" if parts else _all(both)
        parts.append(f"left {{}} as it was on {rest}")
    told = [parts[0].format(what), *(part.format("it") for part in parts[1:])]
    return f"{_capital(doing)} {listed(told)}."


def _nothing(reading: str) -> float:
    """The difference that a reading cannot tell from none."""
    return NOTHING_BYTES if reading.endswith("_bytes") else 0.0


def _all(both: Pairs) -> str:
    """`square_loop`, `both workloads`, `all 6 workloads`."""
    if len(both) == 1:
        return f"`{next(iter(both)).workload}`"
    return "both workloads" if len(both) == 2 else f"all {counted(len(both), 'workload')}"


def _share(group: Pairs, both: Pairs) -> str:
    """`all 6 workloads`, `4 of 6 workloads`."""
    return _all(both) if len(group) == len(both) else f"{len(group)} of {len(both)} workloads"


def _most(group: Pairs, both: Pairs, reading: str) -> str:
    """Where the change was the largest: `, most on chain (from 6.10 MiB to 1.20 MiB)`."""
    formatted = format_of(reading)
    most = max(group, key=lambda s: abs(group[s][0].median - group[s][1].median))
    before, after = (formatted(e.median) for e in group[most])
    word = ", most on" if len(group) > 1 else ","
    where = f"{word} `{subject_names(list(both))[most]}`" if len(both) > 1 else ""
    return f"{where} (from {before} to {after}; {_sure(*group[most])})"


def _sure(before: Estimate, after: Estimate) -> str:
    """How many trials stand behind two figures that differ, and how these lie."""
    fewest, most = sorted((before.n, after.n))
    trials = f"{fewest} to {counted(most, 'trial')}" if fewest < most else counted(most, "trial")
    if most == 1:
        return "one trial each"
    if before.spread or after.spread:
        return f"{trials} each, whose ranges lie apart"
    return f"the same in each of {trials}"


def _over(cases: ByCase, below: Arm, above: Arm) -> list[float]:
    """How many times the one arm's figure the other's is, on each workload that has both."""
    both = pairs(cases, below, above).values()
    return [over.median for one, other in both if (over := ratio(other, one))]


def _times(over: Sequence[float]) -> str:
    """`0.97 to 1.31 times`."""
    return f"{between_text(over, short)} times"


def cycles_left(records: Sequence[Record]) -> str:
    """How many cycles each mode left, and how much they held."""
    counts, held = by_case(records, "cycle_count"), by_case(records, "cycle_bytes")
    collector = collector_of(counts)
    said = []
    for mode in ("step16", "step17"):
        here = Arm(mode, collector)
        n = [arms[here].median for arms in counts.values() if here in arms]
        most = max((arms[here].median for arms in held.values() if here in arms), default=0.0)
        if not n:
            said.append(f"`{mode}` was not looked at")
        elif not any(n):
            said.append(f"`{mode}` left no cycle")
        else:
            found = counted(int(max(n)), "cycle")
            said.append(f"`{mode}` left up to {found}, with up to {bytes_text(most)} of arrays")
    return f"With the {collector_text(collector)}, {'; '.join(said)}."


def collector_relief(records: Sequence[Record]) -> str:
    """What the collector, left on, makes of the strong mode's peak, and how long it pauses."""
    both = pairs(by_case(records, "peak_bytes"), Arm("step17", "on"), Arm("step16", "on"))
    over = [found for weak, strong in both.values() if (found := ratio(strong, weak))]
    if not over:
        return "What the collector makes of it cannot be told: no peaks were taken with it on."
    usual, worst = [found.median for found in over], max(found.high for found in over)
    words = f"With the collector on, `step16` peaked at {_times(usual)} the peak of `step17`"
    if worst > max(usual):
        words += f", and at up to {short(worst)} times by when it happened to come"
    runs = _most_of(records, "collector_runs_count")
    pauses = _most_of(records, "collector_pause_seconds")
    if runs is None or pauses is None:
        return f"{words}; its runs were not counted."
    often = counted(int(runs), "time")
    return (
        f"{words}; the collector ran up to {often} and paused it for up to {seconds_text(pauses)}."
    )


def _most_of(records: Sequence[Record], reading: str) -> float | None:
    """The highest median of a reading in step 16 with the collector on."""
    where = Arm("step16", "on")
    found = [arms[where].median for arms in by_case(records, reading).values() if where in arms]
    return max(found, default=None)


def setting(
    records: Sequence[Record],
    reading: str,
    before: Collector,
    after: Collector,
    *,
    doing: str,
    what: str,
) -> str:
    """What another setting of the collector does to the strong mode."""
    both = pairs(by_case(records, reading), Arm("step16", before), Arm("step16", after))
    return moved(both, reading, doing, what)


def against_weak(records: Sequence[Record]) -> str:
    """What weak references leave to gain where strong ones have all the help there is."""
    peaks = by_case(records, "peak_bytes")
    both = pairs(peaks, Arm("step16", "each step"), Arm("step17", "off"))
    doing = "using weak references and no collector, instead of strong ones collected each step,"
    return moved(both, "peak_bytes", doing, "the peak")


def cut_short(records: Sequence[Record]) -> str:
    """What ending the graph of a recurrence now and then does to its peak, in each mode."""
    peaks = {s.workload: arms for s, arms in by_case(records, "peak_bytes").items()}
    cut, whole = peaks.get("lstm_sine", {}), peaks.get("lstm_sine_whole", {})
    over = [r.median for a in cut if a in whole if (r := ratio(cut[a], whole[a]))]
    if not over:
        return "What cutting a recurrence short buys cannot be told: it was not measured both ways."
    return (
        "Ending the graph of the LSTM every so many steps (`unchain_backward`) brought its peak to "
        f"{_times(over)} that of going back to the start."
    )


def lowest_peak(records: Sequence[Record]) -> str:
    """Which mode peaked lowest, on how many workloads."""
    cases = by_case(records, "peak_bytes")
    several = {s: arms for s, arms in cases.items() if len(arms) > 1}
    if not several:
        return "Which mode peaks lowest cannot be told: no workload has figures of two modes."
    firsts = [min(arms, key=lambda a: arms[a].median).mode for arms in several.values()]
    ranked = sorted(set(firsts), key=lambda mode: -firsts.count(mode))
    of = counted(len(firsts), "workload")
    said = listed(f"`{mode}` peaked lowest on {firsts.count(mode)}" for mode in ranked)
    return f"Of {of}, {said}."


def who_leaves(records: Sequence[Record]) -> str:
    """Which modes leave something behind."""
    cases = by_case(records, "left_bytes")
    collector = collector_of(cases)
    most: dict[str, float] = {}
    for arms in cases.values():
        for a, found in arms.items():
            if a.collector == collector:
                most[a.mode] = max(most.get(a.mode, 0.0), found.median)
    if not most:
        return "What is left behind cannot be told: it was not measured."
    leaving = [
        f"`{m}` (up to {bytes_text(left)})" for m, left in most.items() if left > NOTHING_BYTES
    ]
    who = listed(leaving) if leaving else "No mode"
    return f"{who} left something behind, with the {collector_text(collector)}."


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


WEAK = (
    "weak references from a Function to its outputs (`step17`), instead of strong ones (`step16`),"
)
STRONG = (
    "strong references from a Function to its outputs (`step16`), instead of weak ones (`step17`),"
)
LEAN = (
    "keeping only what the rules read, and releasing it during backward (`lean`), instead of whole "
    "inputs and the whole graph (`step18`),"
)
PEAK = "the peak"
LEFT = "what is left behind when all is dropped, {collector},"
NO_GRAPH = partial(
    effect,
    reading="peak_bytes",
    before="step18",
    after="no_grad",
    doing="building no graph where nobody wants a gradient (`enable_backprop = False`, `no_grad`)",
    what="the peak",
    forward_only=True,
)

LETTING_GO = partial(
    effect,
    reading="peak_bytes",
    before="step17",
    after="step18",
    doing="letting go of intermediate gradients (`retain_grad = False`, `step18`)",
    what=PEAK,
)

LADDER = Asked(
    "What does each memory mode keep alive, until when, and what does it cost to keep less?",
    [
        partial(
            effect, reading="left_bytes", before="step16", after="step17", doing=WEAK, what=LEFT
        ),
        partial(
            effect,
            reading="peak_bytes",
            before="step17",
            after="lean",
            doing="keeping only what a gradient rule reads, and only until backward has used it "
            "(`lean`), instead of everything to the end (`step17`),",
            what=PEAK,
        ),
    ],
    partial(cost, before="step17", after="lean", doing="keeping less", instead="keeping it all"),
)
CYCLES = Asked(
    "What do strong output references leave to the collector?",
    [
        partial(
            effect, reading="left_bytes", before="step17", after="step16", doing=STRONG, what=LEFT
        ),
        cycles_left,
        collector_relief,
    ],
)
RETAIN_GRAD = Asked(
    "What does keeping the gradients of intermediate Variables cost?",
    [
        partial(
            effect,
            reading="peak_bytes",
            before="step18",
            after="step17",
            doing="keeping intermediate gradients (`retain_grad = True`, `step17`)",
            what="the peak",
        ),
        partial(
            effect,
            reading="live_after_backward_bytes",
            before="step18",
            after="step17",
            doing="keeping them",
            what="what is live after backward",
        ),
    ],
    partial(cost, before="step18", after="step17", doing="keeping them", instead="letting them go"),
)
NO_GRAD = Asked(
    "What does enable_backprop = False save where nobody wants a gradient?",
    [
        NO_GRAPH,
        partial(
            effect,
            reading="peak_bytes",
            before="lean",
            after="no_grad",
            doing="compared with `lean`, which keeps as little as a graph can, it",
            what="the peak",
            forward_only=True,
        ),
    ],
    partial(cost, before="lean", after="no_grad", doing="building no graph", instead="`lean`"),
)
COLLECTOR = Asked(
    "How much do strong references cost if the collector is on, or called after every step?",
    [
        partial(
            setting,
            reading="peak_bytes",
            before="off",
            after="on",
            doing="leaving the collector on, instead of off,",
            what="the peak of `step16`",
        ),
        against_weak,
    ],
    collecting_cost,
)
NETWORKS = Asked(
    "What do networks in training and gradients of gradients keep, and which mode lets go of it?",
    [
        partial(effect, reading="peak_bytes", before="step18", after="lean", doing=LEAN, what=PEAK),
        partial(effect, reading="left_bytes", before="step18", after="lean", doing="it", what=LEFT),
        cut_short,
    ],
)
PYTHONS = Asked(
    "Does it depend on the Python?",
    [peaks_without_collector, strong_with_collector, cycles_apart],
    everywhere=True,
)
SCRIPT = Asked(script.QUESTION, script.SENTENCES)
RECOMPUTATION = Asked(recomputing.QUESTION, recomputing.SENTENCES)
ASKED = {
    "ladder": LADDER,
    "cycles": CYCLES,
    "retain_grad": RETAIN_GRAD,
    "no_grad": NO_GRAD,
    "networks": NETWORKS,
    "collector": COLLECTOR,
    "script": SCRIPT,
    "pythons": PYTHONS,
    "recomputation": RECOMPUTATION,
}
ANYTHING = Asked("How do these memory modes compare?", [lowest_peak, who_leaves], fastest)
