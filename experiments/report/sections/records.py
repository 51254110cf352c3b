"""Which lines of records.jsonl each case's figures come from: what every figure leads to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby

from experiments.estimates import Arm, Subject, arm, subject
from experiments.report.blocks import TRUTHS, Columns, Origin, Section, Table
from experiments.report.wording.looks import in_order
from experiments.report.wording.words import count_text, counted, listed, subject_names
from experiments.trial import CALIBRATION, Record

TITLE = "Records"
LEAD = (
    "Every figure on this page is made from lines of `records.jsonl`, the file beside it: a trial "
    "a line, counted from 1. The number of trials in a row of figures leads to their lines here."
)
COLUMNS = ("Mode", "Collector", "Instrument", "Trials", "How they ended", "Lines")

Numbered = Sequence[tuple[int, Record]]  # a line's number, and the record on it
Case = tuple[Arm, str]  # what was done, and the instrument


def records(numbered: Numbered) -> Section:
    """Each workload's cases, with the lines of their trials; those of known truths at the end."""
    groups: dict[Subject, dict[Case, list[tuple[int, Record]]]] = {}
    truths: dict[str, list[tuple[int, Record]]] = {}
    for number, record in numbered:
        instrument = record.trial.instrument
        if record.trial.study == CALIBRATION:
            truths.setdefault(instrument, []).append((number, record))
        else:
            cases = groups.setdefault(subject(record), {})
            cases.setdefault((arm(record), instrument), []).append((number, record))
    names = subject_names(list(groups))
    told = [_of_subject(s, names[s], cases) for s, cases in groups.items()]
    blocks = [*told, *([_of_truths(truths)] if truths else [])]
    return Section(TITLE, blocks, lead=LEAD, folded=True)


def _of_subject(s: Subject, name: str, cases: dict[Case, list[tuple[int, Record]]]) -> Section:
    modes = in_order(a for a, _ in cases)
    order = sorted(cases, key=lambda case: (modes.index(case[0]), case[1]))
    rows = [[a.mode, a.collector, f"`{i}`", *_cells(cases[a, i])] for a, i in order]
    table = Table(
        f"Records of {name}",
        COLUMNS,
        rows,
        3,
        prose=COLUMNS[4:],
        places=[Origin(s, a, i) for a, i in order],
        data=lambda: _data((a.mode, a.collector, i, cases[a, i]) for a, i in order),
    )
    n = sum(map(len, cases.values()))
    return Section(name, [table], lead=counted(n, "trial"), folded=True, place=Origin(s))


def _of_truths(truths: dict[str, list[tuple[int, Record]]]) -> Section:
    """The trials in which each instrument was shown what is known."""
    table = Table(
        "Records of known truths",
        ("Instrument", *COLUMNS[3:]),
        [[f"`{name}`", *_cells(found)] for name, found in truths.items()],
        prose=COLUMNS[4:],
        places=[Origin(TRUTHS, None, name) for name in truths],
    )
    n = counted(sum(map(len, truths.values())), "trial")
    return Section("Known truths", [table], lead=n, folded=True, place=Origin(TRUTHS))


def _cells(found: Numbered) -> list[str]:
    ended = Counter(record.outcome for _, record in found)
    several = [f"{count_text(n)} {outcome}" for outcome, n in ended.most_common()]
    how = "all ended well" if ended["ok"] == len(found) else listed(several)
    return [count_text(len(found)), how, ranges(number for number, _ in found)]


def _data(cases: Iterable[tuple[str, str, str, Numbered]]) -> Columns:
    """A row for each trial: what was done, its repeat and seed, its outcome and its line."""
    rows = [
        (mode, collector, instrument, r.trial.repeat, r.trial.seed, r.outcome, line)
        for mode, collector, instrument, found in cases
        for line, r in found
    ]
    names = ("mode", "collector", "instrument", "repeat", "seed", "outcome", "line")
    return {name: [row[n] for row in rows] for n, name in enumerate(names)}


def ranges(numbers: Iterable[int]) -> str:
    """Numbers in their order, those that follow each other as a range: `3, 5-9`."""
    runs = groupby(enumerate(sorted(numbers)), key=lambda placed: placed[1] - placed[0])
    found = [[number for _, number in run] for _, run in runs]
    return ", ".join(f"{run[0]}-{run[-1]}" if run[1:] else f"{run[0]}" for run in found)
