"""A study is a fair sweep: every arm equally often, in an order that favours none."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from autodiff import MODES
from experiments.instruments import INSTRUMENTS
from experiments.report.wording.answers import ASKED
from experiments.studies import DEFAULT_STUDY, READ_PEAKS, Study, studies
from experiments.trial import COLLECTOR_PHASES, Trial
from experiments.workloads import WORKLOADS

TIMERS = ("clock", "collector")
NAMES = [
    "ladder",
    "collector",
    "cycles",
    "networks",
    "no_grad",
    "pythons",
    "recomputation",
    "retain_grad",
]


@pytest.fixture(params=NAMES)
def study(request: pytest.FixtureRequest) -> Study:
    return studies()[request.param]


def test_there_is_a_study_in_every_file_and_the_default_comes_first() -> None:
    assert list(studies()) == [*NAMES, "script"]  # which has no workload of its own
    assert NAMES[0] == DEFAULT_STUDY
    assert all(study.name == name for name, study in studies().items())


def test_a_study_asks_a_question_of_things_that_exist(study: Study) -> None:
    assert study.question.endswith("?")
    assert study.answered_by.endswith(".")
    assert set(study.workloads) <= WORKLOADS.keys()
    assert set(study.modes) <= MODES.keys()
    assert study.instruments.keys() <= INSTRUMENTS.keys()


def test_the_report_repeats_the_question(study: Study) -> None:
    assert ASKED[study.name].question == study.question


def test_the_ladder_is_every_mode_on_each_workload_with_every_instrument() -> None:
    """With all but memray, which is an extra and leaves megabytes for each trial, and those that
    tell of recomputation: no rung computes anything again.
    """
    trials = studies()["ladder"].trials()
    apart = {"native", "evaluations", "arrays"}
    arms = {(t.workload, t.mode, t.instrument) for t in trials}
    assert {t.instrument for t in trials} == INSTRUMENTS.keys() - apart
    workloads = studies()["ladder"].workloads
    assert len(arms) == len(workloads) * len(MODES) * len(INSTRUMENTS.keys() - apart)
    assert {t.collector for t in trials if t.instrument == "cycles"} == {"off"}
    assert {t.collector for t in trials if t.instrument == "collector"} == {"on"}


def test_every_workload_has_its_place_in_one_study_of_the_ladder_of_networks_or_of_buying() -> None:
    names = ("ladder", "networks", "recomputation")
    places = [workload for name in names for workload in studies()[name].workloads]
    assert sorted(places) == sorted(WORKLOADS)


def arm(trial: Trial) -> Trial:
    return replace(trial, repeat=0)


def keys(trials: list[Trial]) -> list[str]:
    return [trial.key for trial in trials]


def test_trials_are_the_product_and_no_two_are_alike(study: Study) -> None:
    trials = study.trials()
    assert len(set(keys(trials))) == len(trials)
    by_instrument = Counter((t.instrument, t.collector) for t in trials)
    for (instrument, collector), n in by_instrument.items():
        arms = {
            arm(t).key for t in trials if (t.instrument, t.collector) == (instrument, collector)
        }
        repeats = n / len(arms)
        if instrument in READ_PEAKS and collector == "on":
            assert repeats == COLLECTOR_PHASES
        else:
            often = study.repeats.get(instrument, 5)
            assert repeats >= often if instrument in TIMERS else repeats in (1, 2, 3)


def test_with_the_collector_on_a_peak_is_read_in_each_of_its_phases_but_where_told_otherwise() -> (
    None
):
    def repeats(**given: Any) -> set[int]:
        trials = studies()["collector"].trials(instruments=["traced"], collectors=["on"], **given)
        return {t.repeat for t in trials}

    assert repeats() == repeats(quick=True) == set(range(COLLECTOR_PHASES))
    assert repeats(repeats=3) == {0, 1, 2}


def test_every_repeat_is_whole_before_the_next_begins(study: Study) -> None:
    trials = study.trials(repeats=3)
    third = len(trials) // 3
    blocks = [trials[:third], trials[third : 2 * third], trials[2 * third :]]
    assert [{t.repeat for t in block} for block in blocks] == [{0}, {1}, {2}]
    orders = [keys([arm(t) for t in block]) for block in blocks]
    assert sorted(orders[0]) == sorted(orders[1]) == sorted(orders[2])
    assert orders[0] != orders[1] != orders[2]


def test_the_order_is_the_same_in_every_run_and_mixes_the_modes(study: Study) -> None:
    trials = study.trials()
    assert keys(trials) == keys(study.trials())
    what = [(t.mode, t.parameters) if study.sweep else t.mode for t in trials]
    changes = sum(a != b for a, b in itertools.pairwise(what))
    assert changes > len(trials) / 4


def test_a_trial_names_all_its_parameters(study: Study) -> None:
    for trial in study.trials() + study.trials(quick=True):
        assert trial.parameters.keys() == WORKLOADS[trial.workload].defaults.keys()


def test_quick_is_fewer_trials_on_smaller_workloads(study: Study) -> None:
    quick = study.trials(quick=True)
    assert {t.repeat for t in quick if t.collector == "off"} == {0}
    assert {(t.workload, t.mode) for t in quick} == {(t.workload, t.mode) for t in study.trials()}
    for trial in quick:
        swept = {name for point in study.quick_sweep.get(trial.workload, ()) for name in point}
        smaller = {k: v for k, v in WORKLOADS[trial.workload].quick.items() if k not in swept}
        assert trial.parameters.items() >= smaller.items()


def test_what_is_given_replaces_the_study_s_own() -> None:
    (trial,) = studies()["cycles"].trials(
        workloads=["funnel"],
        modes=["lean"],
        instruments=["clock"],
        collectors=["each step"],
        repeats=1,
        parameters={"funnel": {"size": 4096}},
        quick=True,
    )
    assert (trial.study, trial.workload, trial.mode) == ("cycles", "funnel", "lean")
    assert (trial.instrument, trial.collector) == ("clock", "each step")
    assert trial.parameters["size"] == 4096


SWEEP = Study(
    name="made up",
    question="Which point?",
    answered_by="Any.",
    workloads=("chain", "funnel"),
    modes=("lean", "step16"),
    instruments={"clock": ("off",), "traced": ("off",)},
    parameters={"chain": {"size": 7}},
    sweep={"chain": [{}, {"length": 3}, {"length": 4}, {"length": 50}]},
    quick_sweep={"chain": [{"length": 2}]},
    at_first=("objects",),
    repeats={"clock": 3},
)


def test_a_sweep_has_a_trial_of_every_point_and_none_twice() -> None:
    trials = SWEEP.trials(modes=["lean"], instruments=["traced"], repeats=1)
    chains = [t.parameters for t in trials if t.workload == "chain"]
    assert sorted(chain["length"] for chain in chains) == [3, 4, 50]  # which is the default, too
    assert {chain["size"] for chain in chains} == {7}
    assert [t.workload for t in trials].count("funnel") == 1


def test_a_quick_sweep_has_points_of_its_own_and_what_is_given_goes_before_both() -> None:
    [quick] = SWEEP.trials(workloads=["chain"], modes=["lean"], instruments=["traced"], quick=True)
    assert quick.parameters["length"] == 2
    given = {"chain": {"length": 9}}
    [only] = SWEEP.trials(
        workloads=["chain"], modes=["lean"], instruments=["clock"], repeats=1, parameters=given
    )
    assert only.parameters["length"] == 9


def test_an_instrument_may_look_at_the_first_point_alone() -> None:
    trials = SWEEP.trials(modes=["lean"], instruments=["objects"])
    found = {(t.workload, t.parameters.get("length")) for t in trials}
    assert (len(trials), found) == (2, {("chain", 50), ("funnel", None)})


def test_a_study_may_repeat_an_instrument_less_often_than_others_do() -> None:
    trials = SWEEP.trials(workloads=["funnel"], modes=["lean"])
    assert Counter(t.instrument for t in trials) == {"clock": 3, "traced": 2}
    assert Counter(t.repeat for t in SWEEP.trials(quick=True)).keys() == {0}


@pytest.mark.parametrize("name", NAMES)
def test_every_study_runs_as_a_script(name: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", f"experiments.studies.{name}", "--mode", "nonesuch"],
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 2
    assert "nonesuch" in ran.stderr
    assert "step16" in ran.stderr
    assert "Warning" not in ran.stderr
