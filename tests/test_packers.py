"""Packers: what comes out is what went in, or as near as they say; and no file is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as drawn

from autodiff import Compressed, Disk, Half
from autodiff.keepers.packers import PAGE

pytestmark = pytest.mark.forward

PACKERS = [Half, Compressed, Disk]
LARGE = PAGE // 4  # elements of float64: two pages
ANY = drawn.arrays(
    st.sampled_from([np.float16, np.float32, np.float64, np.longdouble, np.int64, np.int8, bool]),
    drawn.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
)
FINITE = st.sampled_from([np.float32, np.float64]).flatmap(
    lambda dtype: drawn.arrays(
        dtype,
        drawn.array_shapes(min_dims=0, max_dims=2, max_side=8),
        elements=st.floats(
            width=32 if dtype is np.float32 else 64, allow_nan=False, allow_infinity=False
        ),
    )
)


@pytest.fixture(scope="module")
def disk() -> Disk:
    return Disk()


@given(array=ANY)
def test_compressed_and_disk_are_exact(disk: Disk, array: np.ndarray) -> None:
    large = np.tile(array.reshape(1, *array.shape), (PAGE, *(1 for _ in array.shape)))
    for packer in (Compressed(), Compressed(9), disk):
        for one in (array, large):
            found = packer.unpack(packer.pack(one))
            assert found.tobytes() == one.tobytes()
            assert (found.shape, found.dtype) == (one.shape, one.dtype)


@given(FINITE)
def test_half_is_as_near_as_it_says(array: np.ndarray) -> None:
    packer = Half()
    found = packer.unpack(packer.pack(array))
    assert (found.shape, found.dtype) == (array.shape, array.dtype)
    wide, largest = array.astype(np.longdouble), np.abs(array).max()
    smallest = np.finfo(array.dtype).smallest_subnormal
    allowed = np.maximum(np.abs(wide) * 2.0**-11, np.longdouble(largest) * 2.0**-39)
    assert (np.abs(found.astype(np.longdouble) - wide) <= np.maximum(allowed, smallest)).all()


def test_its_error_is_reached_and_no_more() -> None:
    relative, absolute = 2.0**-11, 2.0**-39
    worst = np.array([1.0, 1 + 0.999 * relative, 0.999 * absolute, 1.999 * absolute])
    packer = Half()
    errors = np.abs(packer.unpack(packer.pack(worst)) - worst)
    assert 0.99 * relative < errors[1] < relative
    assert 0.99 * absolute < errors[2] < absolute
    assert errors[3] < 0.01 * absolute  # the next number that there is


@pytest.mark.parametrize(
    "array",
    [
        np.array([1.0, np.inf]),
        np.array([np.nan]),
        np.arange(3),
        np.ones(3, np.float16),
        np.array([np.finfo(float).max]),
    ],
)
def test_half_keeps_what_it_cannot_halve(array: np.ndarray) -> None:
    assert Half().pack(array) is array
    assert Half().unpack(array) is array


def test_what_they_take() -> None:
    array = np.random.default_rng(0).normal(size=10_000)
    assert Half().pack(array).array.nbytes == array.nbytes // 4
    assert Half().pack(array.astype(np.float32)).array.nbytes == array.nbytes // 4
    assert len(Compressed().pack(np.zeros(10_000)).bytes) < 1_000
    assert len(Compressed().pack(array).bytes) < array.nbytes
    noise = np.random.default_rng(0).integers(0, 256, 10_000, np.uint8)
    assert Compressed().pack(noise) is noise


def test_packing_makes_no_copy_on_the_way() -> None:
    array = np.random.default_rng(0).normal(size=500_000)
    for packer, packed, out in ((Half(), 0.25, 1.0), (Disk(), 0.0, 0.0)):
        tracemalloc.start()
        held = packer.pack(array)
        assert tracemalloc.get_traced_memory()[1] / array.nbytes == pytest.approx(packed, abs=0.02)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        packer.unpack(held)
        peak = (tracemalloc.get_traced_memory()[1] - before) / array.nbytes
        assert peak == pytest.approx(out, abs=0.02)
        tracemalloc.stop()


def test_a_strided_view_comes_out_as_it_looks() -> None:
    array = np.arange(12.0 * PAGE).reshape(3, 4 * PAGE).T[::2]
    for packer in (Half(), Compressed(), Disk()):
        assert np.allclose(packer.unpack(packer.pack(array)), array, rtol=2**-11)


@pytest.mark.parametrize("level", [0, 10, "1", None])
def test_a_level_that_is_none_is_an_error(level: Any) -> None:
    with pytest.raises(ValueError, match="allowed are 1"):
        Compressed(level)


# The file -------------------------------------------------------------------------------------


def test_what_is_unpacked_may_be_written_to_and_changes_nothing() -> None:
    for packer in (Half(), Compressed(), Disk()):
        packed = packer.pack(np.ones(LARGE))
        packer.unpack(packed)[:] = 5
        assert set(packer.unpack(packed).tolist()) == {1.0}


def file_size(disk: Disk) -> int:
    assert disk._file is not None
    return os.fstat(disk._file.file.fileno()).st_size


def test_a_place_in_the_file_is_used_again(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    places = [disk.pack(np.full(LARGE, i)) for i in range(5)]
    assert [int(disk.unpack(p)[0]) for p in places] == [0, 1, 2, 3, 4]
    size = file_size(disk)
    assert size == 5 * LARGE * 8
    del places[1:4]
    places += [disk.pack(np.full(LARGE, i)) for i in (7, 8, 9)]
    assert file_size(disk) == size
    assert [int(disk.unpack(p)[-1]) for p in places] == [0, 4, 7, 8, 9]
    places.clear()
    places.append(disk.pack(np.full(LARGE, 1)))
    assert file_size(disk) == LARGE * 8  # emptied, and begun anew


def test_an_array_outlives_its_place() -> None:
    disk = Disk()
    place = disk.pack(np.full(LARGE, 1.0))
    array = disk.unpack(place)
    part = array[:3]
    del place, array
    others = [disk.pack(np.full(LARGE, 2.0)) for _ in range(3)]
    assert part.tolist() == [1.0] * 3
    disk = Disk()
    assert disk.unpack(others[0])[0] == 2.0  # by another one, too: the place knows its file


def test_small_arrays_stay() -> None:
    array = np.ones(10)
    assert Disk().pack(array) is array


class Slow:
    """A file that gives other threads every chance between where to write and what."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def seek(self, *where: int) -> int:
        self.file.seek(*where)
        time.sleep(0.001)
        return where[0]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def test_threads_get_places_of_their_own() -> None:
    disk, wrong = Disk(), []
    first = disk.pack(np.zeros(LARGE))
    assert disk._file is not None
    disk._file.file = Slow(disk._file.file)

    def work(number: int) -> None:
        for i in range(10):
            places = [disk.pack(np.full(LARGE, number * 1000 + i + j)) for j in range(3)]
            found = [set(disk.unpack(p).tolist()) for p in places]
            if found != [{number * 1000 + i + j} for j in range(3)]:
                wrong.append(found)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert not disk.unpack(first).any()


def ended(code: str, folder: Path) -> int:
    """How a process ends that runs this code, with the folder as its argument."""
    return subprocess.run([sys.executable, "-c", code, str(folder)], check=False).returncode


BEGIN = """
import os, signal, sys, numpy as np
from autodiff import Disk
disk = Disk(sys.argv[1])
place = disk.pack(np.ones(100_000))
assert disk.unpack(place).sum() == 100_000
"""


@pytest.mark.skipif(os.name == "nt", reason="sends SIGKILL")
def test_no_file_is_left_where_the_process_is_killed(tmp_path: Path) -> None:
    code = BEGIN + ("assert os.listdir(sys.argv[1]) == []\nos.kill(os.getpid(), signal.SIGKILL)\n")
    assert ended(code, tmp_path) == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("end", "status"), [("", 0), ("raise KeyError", 1), ("os._exit(3)", 3), ("sys.exit(4)", 4)]
)
def test_none_is_left_however_it_ends(tmp_path: Path, end: str, status: int) -> None:
    end = f"sys.stderr = open(os.devnull, 'w')\n{end}"
    assert ended(BEGIN + end, tmp_path) == status
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_after_a_fork_each_process_has_a_file_of_its_own(tmp_path: Path) -> None:
    code = BEGIN + (
        "kept = place\n"
        "child = os.fork()\n"
        "number = 2.0 if child else 3.0\n"
        "if child: del kept, place\n"  # whose place the child still needs
        "more = [disk.pack(np.full(100_000, number)) for _ in range(3)]\n"
        "if child: assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0\n"
        "assert all((disk.unpack(p) == number).all() for p in more)\n"
        "if not child: assert (disk.unpack(kept) == 1).all()\n"
    )
    assert ended(code, tmp_path) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_none_is_an_error_that_names_it() -> None:
    with pytest.raises(OSError, match="nowhere"):
        Disk("/nowhere").pack(np.ones(LARGE))


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_an_error_and_the_place_is_free_again() -> None:
    disk = Disk()
    first = disk.pack(np.ones(LARGE))
    assert disk._file is not None
    kept, disk._file.file = disk._file.file, open("/dev/full", "wb", buffering=0)  # noqa: SIM115
    with pytest.raises(OSError):  # noqa: PT011  # whichever: no space, or no truncating of it
        disk.pack(np.ones(LARGE))
    disk._file.file.close()
    disk._file.file = kept
    second = disk.pack(np.full(LARGE, 2.0))
    assert disk.unpack(first)[0] == 1.0
    assert disk.unpack(second)[0] == 2.0
