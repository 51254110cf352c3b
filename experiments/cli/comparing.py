"""`experiments compare`: what differs between two runs, and whether anything got worse."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from rich.console import Console

from experiments import runner
from experiments.cli.endings import GOT_WORSE, OK, UsageError
from experiments.cli.runs import folder_of
from experiments.comparison import NothingInCommon, compare
from experiments.environment import differences
from experiments.report.reading import by_environment
from experiments.report.telling.compared import as_json, compared
from experiments.trial import Record, read_records

HELP = (
    "More is worse: bytes, counts, seconds. Two figures differ where all that the trials of both "
    "runs allow lies apart, by more than the instrument's error; they are equivalent where all of "
    "it lies within the threshold; else it is inconclusive. A time is worse where the whole "
    "interval of its ratio is beyond its threshold, the machine's speed in both runs taken out.\n\n"
    "For example:\n\n"
    "  experiments compare before after           two runs under reports/\n"
    "  experiments compare before after --all     every figure\n"
    "  experiments compare before after --threshold 1% --time-threshold 25%\n"
    "  experiments compare before after --format json | jq .worse\n\n"
    "To guard a CI, keep a run of the main branch, and set each change beside it:\n\n"
    "  experiments run -w chain -i traced -i clock --repeats 6 -o reports/change\n"
    "  experiments compare main change\n\n"
    "Exit code: 0 nothing got worse; 1 something did, the last line says what;\n"
    "2 not understood, or the two runs have nothing in common.\n"
)


def compare_(
    before: str,
    after: str,
    /,
    *,
    threshold: str = "5%",
    time_threshold: str = "10%",
    all_: Annotated[bool, Parameter(name=["--all"], negative="", show_default=False)] = False,
    format_: Annotated[Literal["text", "json"], Parameter(name=["--format"])] = "text",
) -> int:
    """Say what differs between two runs, and whether anything got worse.

    Parameters
    ----------
    before
        The run to compare with: its folder, or its name under reports/.
    after
        The run that is to be no worse.
    threshold
        How much more bytes and counts may be, such as 5% or 0.05.
    time_threshold
        How much longer times may be.
    all_
        Show every figure, and not only those that differ.
    format_
        For people or for programs.
    """
    shares = share("--threshold", threshold), share("--time-threshold", time_threshold)
    folders = folder_of(before), folder_of(after)
    try:
        found = compare(
            *(_records(folder) for folder in folders),
            threshold=shares[0],
            time_threshold=shares[1],
        )
    except NothingInCommon as error:
        raise UsageError(
            f"{folders[0]} and {folders[1]} cannot be compared: {error}. Run the same study, or "
            "the same workloads, modes and instruments, into both."
        ) from None
    if format_ == "json":
        runs = {"a": str(folders[0]), "b": str(folders[1])}
        print(json.dumps({**runs, **as_json(found)}, indent=2, allow_nan=False))
    else:
        console = Console(highlight=False, soft_wrap=True)
        console.print(f"A: {folders[0]}\nB: {folders[1]}", markup=False)
        console.print(compared(found, *shares, everything=all_))
    return GOT_WORSE if found.got_worse else OK


def _records(folder: Path) -> list[Record]:
    """The records of a run; of a trial that ran twice, the later one.

    Raises UsageError where they are of several environments: their figures are no repeats.
    """
    records = read_records(folder / runner.RECORDS)
    one, *others = by_environment(records) or [records]
    if others:
        apart = "; ".join(differences(one[0].environment, others[0][0].environment))
        raise UsageError(
            f"{folder} holds records of {len(others) + 1} environments ({apart}), and a run of one "
            "is needed: run each into a folder of its own."
        )
    return list({r.trial.key: r for r in one}.values())


def share(option: str, text: str) -> float:
    """The share that such a text as 5% or 0.05 means, given to an option."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(%?)\s*", text)
    if not found:
        raise UsageError(f"{option}: {text!r} is no share. Write it as 5% or 0.05.")
    number, percent = found.groups()
    return float(number) / 100 if percent else float(number)
