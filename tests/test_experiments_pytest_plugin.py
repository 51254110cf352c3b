"""The pytest plugin, in test suites of its own: what it fails, what it says, what it leaves alone.

A suite runs in a process of its own, where there is little else for the plugin to look through.
"""

from __future__ import annotations

import gc
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from experiments.watch import watch

pytest_plugins = "pytester"

ENGINE = """
import weakref
import numpy as np
import pytest

class Variable:
    def __init__(self, data):
        self.data = data
        self.creator = None

class Function:
    strong = True

    def __call__(self, x):
        y = Variable(x.data ** 2)
        y.creator = self
        self.input = x
        self.output = y if self.strong else weakref.ref(y)
        return y

class Weak(Function):
    strong = False

def loop(function):
    for _ in range(10):
        function()(function()(Variable(np.ones(1000))))
"""

AUTODIFF = """
import numpy as np
import pytest
from autodiff import Variable, square, using_mode

def loop(mode):
    with using_mode(mode):
        for _ in range(10):
            square(square(Variable(np.ones(1000))))
"""


OPTIONS = ("-p", "experiments.pytest_plugin", "--strict-markers")


@pytest.fixture
def suite(pytester):
    """Runs a test file with the plugin, and gives the result."""

    def run(source, *options):
        pytester.makepyfile(source)
        return pytester.runpytest_subprocess(*OPTIONS, *options)

    return run


@pytest.fixture
def nothing_frozen():
    """What is frozen is exactly as much as the test says: of other things, some go meanwhile."""
    gc.unfreeze()
    yield
    gc.freeze()


@pytest.mark.usefixtures("nothing_frozen")
def test_everything_is_as_it_was_whatever_the_tests_did(pytester):
    def state():
        return gc.isenabled(), gc.get_freeze_count(), tracemalloc.is_tracing()

    pytester.makepyfile(
        "import pytest\n"
        "@pytest.mark.no_cycles\n"
        "def test_passes(): pass\n"
        "@pytest.mark.no_cycles\n"
        "@pytest.mark.peak_below('1 MB')\n"
        "def test_fails(): raise ValueError\n"
    )
    before = state()
    pytester.runpytest_inprocess(*OPTIONS).assert_outcomes(passed=1, failed=1)
    assert state() == before


def test_strong_references_fail_and_weak_ones_pass(suite):
    result = suite(
        ENGINE
        + """
@pytest.mark.no_cycles
@pytest.mark.freed_by_refcount
@pytest.mark.parametrize("function", [Function, Weak])
def test_loop(function):
    loop(function)
"""
    )
    result.assert_outcomes(passed=1, failed=1)
    text = result.stdout.str()
    assert "no_cycles: the test left 20 reference cycles, which only a collection frees:" in text
    assert "20 x {Function, Variable}, 240,000 bytes of arrays" in text
    assert "Variable .creator -> Function .output -> Variable" in text
    assert "240,000 bytes of arrays that the test made were still there" in text
    assert "8,000 bytes, <f8 of shape (1000,)" in text
    assert "waits for a collection in the cycle" in text
    assert "test_loop[Function]" in text
    assert "test_loop[Weak]" not in text


def test_the_engine_s_own_modes_fail_and_pass(suite):
    result = suite(
        AUTODIFF
        + """
@pytest.mark.no_cycles
def test_strong():
    loop("step16")

@pytest.mark.no_cycles
@pytest.mark.freed_by_refcount
@pytest.mark.parametrize("mode", ["step17", "step18", "lean"])
def test_weak(mode):
    loop(mode)
"""
    )
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*20 reference cycles*", "*Square ._links*"])


def test_a_forgotten_reference_is_named(suite, pytester):
    result = suite(
        """
import numpy as np
import pytest

KEPT = []

@pytest.mark.freed_by_refcount
def test_forgets():
    KEPT.append(np.ones(500))

@pytest.mark.no_cycles
def test_forgets_without_a_cycle():
    KEPT.append(np.ones(500))

@pytest.mark.freed_by_refcount
def test_frees():
    KEPT.pop()
    sum(np.ones(500))
"""
    )
    result.assert_outcomes(passed=2, failed=1)
    name = pytester.path.glob("test_*.py").__next__().stem
    text = result.stdout.str()
    assert "4,000 bytes of arrays that the test made were still there when it returned, 0" in text
    assert f"module {name}, global KEPT[0]" in text


def test_a_peak_is_measured_within_the_call(suite):
    result = suite(
        """
import numpy as np
import pytest

@pytest.fixture
def large():
    return np.ones(1_000_000)

@pytest.mark.peak_below("1 MB")
def test_small(large):
    large.sum()

@pytest.mark.peak_below("1 MB")
def test_transient():
    np.ones(1_000_000).sum()

@pytest.mark.peak_below(9_000_000)
class TestAll:
    def test_allowed(self):
        np.ones(1_000_000).sum()

    @pytest.mark.peak_below("1 MB")
    def test_nearer_marker(self):
        np.ones(1_000_000).sum()
"""
    )
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.re_match_lines([r"peak_below: the test took 8,00\d,\d{3} bytes at its peak.*"])


def test_a_test_s_own_failure_stands(suite):
    result = suite(
        ENGINE
        + """
@pytest.mark.no_cycles
@pytest.mark.freed_by_refcount
@pytest.mark.peak_below("1 B")
def test_fails():
    loop(Function)
    assert 1 == 2

@pytest.mark.no_cycles
def test_skips():
    loop(Function)
    pytest.skip("not today")

@pytest.mark.no_cycles
@pytest.mark.xfail(strict=True)
def test_expected():
    loop(Function)
"""
    )
    result.assert_outcomes(failed=1, skipped=1, xfailed=1)
    text = result.stdout.str()
    assert "assert 1 == 2" in text
    assert "no_cycles:" not in text


@pytest.mark.parametrize(
    ("marker", "said"),
    [
        ("peak_below", "takes one amount of memory, as in peak_below('20 MB')"),
        ("peak_below()", "takes one amount of memory"),
        ("peak_below('1 MB', '2 MB')", "takes one amount of memory"),
        ("peak_below('much')", "'much' is no amount of memory; give bytes"),
        ("no_cycles('please')", "it takes no arguments"),
    ],
)
def test_wrong_arguments_are_usage_errors(suite, marker, said):
    result = suite(f"import pytest\n@pytest.mark.{marker}\ndef test_it(): pass\n")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said in result.stderr.str()
    assert "::test_it: @pytest.mark." in result.stderr.str()


@pytest.mark.parametrize(
    "test",
    [
        "class TestIt(unittest.TestCase):\n    @pytest.mark.no_cycles\n    def test_it(self): pass",
        "@pytest.mark.no_cycles\nasync def test_it(): pass",
    ],
)
def test_what_cannot_be_watched_says_so(suite, test):
    result = suite(f"import pytest, unittest\n{test}\n")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "cannot be watched" in result.stderr.str() or "no unittest" in result.stderr.str()


def test_the_markers_teach(suite):
    result = suite("", "--markers")
    for line in ("no_cycles: the test leaves", "peak_below(amount): ", "freed_by_refcount: all"):
        result.stdout.fnmatch_lines([f"@pytest.mark.{line}*"])


def test_the_fixture_reads_a_stretch(suite):
    result = suite(
        ENGINE
        + """
def test_readings(memory):
    with memory() as m:
        kept = np.ones(3000)
        np.ones(100_000)
        loop(Function)
    assert m.cycles == 20
    assert m.cycle_bytes == 240_000
    assert m.array_bytes == 24_000 + 240_000
    assert m.peak_bytes > 824_000
    assert m.left_bytes > m.array_bytes
    (shape,) = m.shapes
    assert shape.types == {"Function": 1, "Variable": 1}
    assert m.holders[0].why == "local kept of test_readings"
    with memory() as m:
        pass
    assert (m.cycles, m.array_bytes, m.spelt, m.holders) == (0, 0, (), ())
"""
    )
    result.assert_outcomes(passed=1)


# The stretch that both use ------------------------------------------------------------------------


def ring():
    node = []
    node.append(node)


def test_stretches_within_stretches_have_their_own_peaks_and_cycles():
    with watch() as outer:
        np.ones(300_000)
        ring()
        with watch() as inner:
            np.ones(100_000)
            ring()
        np.ones(200_000)
    assert 2_400_000 <= outer.peak_bytes < 2_500_000
    assert 800_000 <= inner.peak_bytes < 900_000
    assert (outer.cycles, inner.cycles) == (2, 1)


def test_somebody_else_s_tracing_goes_on():
    tracemalloc.start()
    try:
        before = np.ones(5000)
        with watch() as watched:
            after = np.ones(1000)
        assert tracemalloc.is_tracing()
        assert watched.array_bytes == after.nbytes
        assert [held.shape for held in watched.holders] == [after.shape]
        assert before.size
    finally:
        tracemalloc.stop()


@pytest.mark.usefixtures("nothing_frozen")
def test_a_stretch_that_raises_leaves_everything_as_it_was():
    frozen = gc.get_freeze_count()
    gc.disable()
    with pytest.raises(ZeroDivisionError), watch() as watched:
        1 / 0  # noqa: B018
    assert not gc.isenabled()
    assert not tracemalloc.is_tracing()
    assert gc.get_freeze_count() == frozen
    assert watched.peak_bytes == 0
    gc.enable()


def test_what_somebody_has_frozen_stays_frozen():
    frozen = [ring]  # one of them, not their number: some of the others go meanwhile
    gc.freeze()
    with watch() as watched:
        ring()
    assert not any(seen is frozen for seen in gc.get_objects())
    assert watched.cycles == 1


def test_the_plugin_loads_without_numpy(tmp_path):
    (tmp_path / "test_plain.py").write_text(
        "import sys\ndef test_it():\n    assert 'experiments.pytest_plugin' in sys.modules\n"
        "    assert not {'numpy', 'objgraph', 'experiments.watch'} & sys.modules.keys()\n"
    )
    options = ["-q", "-p", "experiments.pytest_plugin", "-p", "no:cacheprovider", "--noconftest"]
    found = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "--rootdir", str(tmp_path), str(tmp_path)],
        env={"PYTHONPATH": ":".join(sys.path), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stdout
