"""What the workloads computed, and whether it is the same to the last bit in every mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from experiments.estimates import Arm, Subject, by_subject
from experiments.report.blocks import Origin, Section, Table, Text
from experiments.report.wording.looks import in_order
from experiments.report.wording.words import NONE, count_text, counted, listed, subject_names
from experiments.trial import Record

TITLE = "What was computed"


@dataclass(frozen=True)
class Result:
    """One number that a workload computed from one seed, and which modes got which value."""

    subject: Subject
    seed: int
    name: str
    modes: Mapping[float, Sequence[str]]  # value -> who computed it, in the ladder's order
    trials: int

    @property
    def equal(self) -> bool:
        """Whether every trial computed the same number, bit by bit."""
        return len(self.modes) == 1


def results_of(records: Sequence[Record]) -> list[Result]:
    """Every result of every workload and seed."""
    found = []
    for s, group in by_subject(records).items():
        ended = [r for r in group if r.outcome == "ok"]
        for seed in sorted({r.trial.seed for r in ended}):
            seeded = [r for r in ended if r.trial.seed == seed]
            for name in dict.fromkeys(name for r in seeded for name in r.results):
                found.append(_result(s, seed, name, [r for r in seeded if name in r.results]))
    return found


def _result(s: Subject, seed: int, name: str, records: Sequence[Record]) -> Result:
    modes: dict[float, dict[str, None]] = {}
    for r in records:
        modes.setdefault(r.results[name], {})[r.trial.mode] = None
    ordered = {v: [a.mode for a in in_order(Arm(m) for m in who)] for v, who in modes.items()}
    return Result(s, seed, name, ordered, len(records))


def equal_in_words(records: Sequence[Record]) -> str:
    """Whether all modes computed the same, in a sentence; nothing where no result was kept."""
    found = results_of(records)
    if not found:
        return ""
    compared = [r for r in found if r.trials > 1]
    differing = [r for r in compared if not r.equal]
    if not compared:
        return "Whether all modes computed the same cannot be told: no result was computed twice."
    if differing:
        who = listed(dict.fromkeys(f"`{r.subject.workload}`" for r in differing))
        return f"The modes did not all compute the same: results differ on {who}."
    modes = {mode for r in compared for who in r.modes.values() for mode in who}
    who = "All modes" if len(modes) > 1 else "All trials"
    return f"{who} computed the same to the last bit: {counted(len(compared), 'result')} compared."


def results(records: Sequence[Record]) -> Section:
    """Every result, and who computed another one."""
    found = results_of(records)
    if not found:
        return Section(TITLE, [Text("No trial that ended well computed a result.", "note")])
    good = all(r.equal for r in found)
    names = subject_names(list(by_subject(records)))
    rows = [_row(r, names) for r in found]
    columns = ["Workload", "Result", "Value", "Modes", "Trials"]
    table = Table(
        "Results, compared over all trials of a workload",
        columns,
        rows,
        2,
        prose=("Value", "Modes"),
        origins=[Origin(r.subject) for r in found],
    )
    said = Text(equal_in_words(records), "good" if good else "warning")
    return Section(TITLE, [said, table], looked_up=good)


def _row(result: Result, names: Mapping[Subject, str]) -> list[str]:
    seeded = f" (seed {result.seed})" if result.seed else ""
    name = f"{result.name.replace('_', ' ')}{seeded}"
    if result.equal:
        [(value, modes)] = result.modes.items()
        return [
            names[result.subject],
            name,
            repr(value),
            ", ".join(modes),
            count_text(result.trials),
        ]
    values = "; ".join(f"{value!r} in {', '.join(modes)}" for value, modes in result.modes.items())
    return [names[result.subject], name, f"differs: {values}", NONE, count_text(result.trials)]
