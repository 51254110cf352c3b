"""How it was measured: what each instrument sees and is blind to, and which trials there were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from experiments.estimates import Arm, by_subject
from experiments.report.blocks import Block, Section, Table, Text
from experiments.report.wording.looks import in_order
from experiments.report.wording.words import NONE, count_text, subject_names
from experiments.trial import Record


@dataclass(frozen=True)
class Measuring:
    """What a reader has to know of an instrument to believe it as far as it deserves."""

    sees: str
    blind_to: str
    costs: str


INSTRUMENTS = {
    "traced": Measuring(
        "Every byte that Python and NumPy ask for, exactly, touched or not; the arrays apart "
        "(tracemalloc).",
        "What C libraries allocate for themselves, such as a BLAS's work space; what the operating "
        "system pays.",
        "Small operations take several times as long, large arrays do not.",
    ),
    "resident": Measuring(
        "The pages that the process has in memory: the kernel's own peak (VmHWM), which no short "
        "peak escapes, and a curve of samples from outside (memory_profiler, psutil).",
        "Memory asked for and not touched; memory freed that the allocator holds back or finds "
        "again. The samples miss what is shorter than the time between them.",
        "None to memory; some ten microseconds at each phase.",
    ),
    "cycles": Measuring(
        "Every cycle that only a collection frees, by shape, and the arrays that it holds, found "
        "without freeing anything. Borne out in every trial by what the collection called then "
        "frees, in objects and in bytes (tracemalloc); a trial in which it is not has failed.",
        "Cycles through arrays of dtype object and C objects that hide what they refer to, which "
        "the collector never frees; bytes of anything but arrays.",
        "As `traced` while the work runs; a walk over all objects once it is done.",
    ),
    "objects": Measuring(
        "How many objects of each type there are, step by step (objgraph), and who holds the "
        "largest arrays, link by link.",
        "Objects that the collector does not list, such as numbers and texts; what C code holds.",
        "Some milliseconds for each step, and three walks over all objects. Nothing is collected.",
    ),
    "collector": Measuring(
        "Each run of the collector while the work goes on: its generation, how many objects it "
        "freed, how long the work stood still (gc.callbacks).",
        "How many bytes it freed; what the work after it pays for.",
        "Two calls for each run.",
    ),
    "lines": Measuring(
        "By how much the resident memory grew at each line of the workload's step "
        "(memory_profiler).",
        "What a line makes and frees again; memory asked for and not touched, or found again; "
        "what goes on within the functions that a line calls.",
        "Ten to a hundred times the time of small operations.",
    ),
    "native": Measuring(
        "The most that Python, NumPy and C libraries had asked for at once, and the calls that "
        "had (memray).",
        "What the operating system pays; whether memory is touched.",
        "Small operations take 3 to 4 times as long; a file of every allocation.",
    ),
    "lifetimes": Measuring(
        "The memory of every array from its birth to its death, to the byte and in order, also "
        "of those that come and go within an operation; which operation made it, and what for (an "
        "allocator given to NumPy, NEP 49). Borne out at five phases by tracemalloc; a trial in "
        "which it is not has failed.",
        "Whatever is not an array's; arrays made in threads.",
        "Some microseconds for each array and operation, and as `traced`.",
    ),
    "clock": Measuring(
        "Elapsed and processor time, freeing included, and the share of forward and of backward.",
        "Why. What else the machine did meanwhile shows in the range.",
        "Under a microsecond for each moment.",
    ),
    "operations": Measuring(
        "Which arrays each operation takes, gives and declares that its gradient rule reads, in "
        "order: of that the floor L* is counted.",
        "Temporaries within an operation, and what is allocated outside of operations.",
        "Some ten microseconds for each operation, which is why it measures nothing else.",
    ),
    "evaluations": Measuring(
        "Every evaluation of an operation's forward, and which of them compute again what had been "
        "computed.",
        "What an evaluation costs; what gradient rules compute.",
        "Some microseconds for each evaluation, which is why it measures nothing else.",
    ),
    "arrays": Measuring(
        "The most that arrays came to at once, to the byte, also of those that come and go within "
        "an operation (an allocator given to NumPy, NEP 49). Borne out at the end by tracemalloc; "
        "a trial in which it is not has failed.",
        "Whatever is not an array's; arrays made in threads; when the peak was.",
        "Some microseconds for each array, and as `traced`.",
    ),
}

WORDS = (
    "Each trial ran in a process of its own, with one instrument, since instruments disturb each "
    "other. Every figure is counted above what was there before the workload was built. "
    "**Peak** is the highest point, **live** is what is held at a moment, **left** is what is "
    "still there when the last reference is dropped and no collection has run. A figure is the "
    "median of its trials, with the lowest and the highest; a ratio is that of two medians, and "
    "its range is the widest that theirs allow. Times stand beside the default mode's with a 95 % "
    "interval: processes are drawn again and again, and rounds within each of them (a "
    "hierarchical bootstrap; Kalibera & Jones 2013). They **differ** where it leaves out 1 and "
    "they lie further apart than the clock's error, are **equivalent** where it lies within 5 %, "
    "and else it is **inconclusive**. With the collector on, how high memory rises depends on "
    "when it comes: peaks are then taken in 20 of its phases, one in each trial. KiB and MiB are "
    "2^10 and 2^20 bytes."
)


def method(records: Sequence[Record]) -> Section:
    """Each instrument's sight, blindness and cost, and how many trials of each there were."""
    used = dict.fromkeys(r.trial.instrument for r in records)
    unknown = Measuring(*["This report has no description of it."] + [NONE] * 2)
    rows = [
        [f"`{name}`", m.sees, m.blind_to, m.costs]
        for name in sorted(used, key=[*INSTRUMENTS, *used].index)
        for m in [INSTRUMENTS.get(name, unknown)]
    ]
    columns = ["Instrument", "Sees", "Is blind to", "Costs"]
    blocks: list[Block] = [Text(WORDS), Table("The instruments", columns, rows, prose=columns[1:])]
    blocks += [_coverage(records, list(used))]
    return Section("How it was measured", blocks, looked_up=True)


def _coverage(records: Sequence[Record], instruments: Sequence[str]) -> Table:
    """How many trials there are of what: what is missing shows here."""
    groups = by_subject(records)
    names = subject_names(list(groups))
    rows = []
    for s, group in groups.items():
        for a in in_order(Arm(r.trial.mode) for r in group):
            mine = [r for r in group if r.trial.mode == a.mode]
            rows.append([names[s], a.mode, *(_number(mine, name) for name in instruments)])
    columns = ["Workload", "Mode", *instruments]
    return Table("Trials of each kind", columns, rows, 2, folded=True)


def _number(records: Sequence[Record], instrument: str) -> str:
    outcomes = [r.outcome for r in records if r.trial.instrument == instrument]
    if not outcomes:
        return NONE
    failed = len(outcomes) - outcomes.count("ok")
    return count_text(len(outcomes)) + (f" ({failed} failed)" if failed else "")
