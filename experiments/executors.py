"""Where trials run: threads of this process, or the workers of an engine that stands already.

Each is reached through the interface of concurrent.futures, and each trial still gets a process of
its own, on the machine of the worker that has it.

Sources: docs.python.org on concurrent.futures; distributed.dask.org on Client.get_executor,
LocalCluster and the resilience of workers.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from experiments import process

CONNECT = 10.0  # seconds for a scheduler to answer
DASK = "dask"
IGNORE_CTRL_C = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"


class ExecutorError(Exception):
    """Trials cannot be run where they should be; says why, and what to do."""


@dataclass(frozen=True)
class Engine:
    """An executor, and what a run has to know of it."""

    executor: Executor
    slots: int  # how many trials it runs side by side
    end: Callable[[str], object] = process.end_trials  # ends a run's trials, where they run
    gives_up: tuple[type[BaseException], ...] = ()  # what it raises after trying again by itself


def available() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def opened(name: str | None, jobs: int | None) -> AbstractContextManager[Engine]:
    """The engine of a name: None for threads here, `dask`, or `dask:ADDRESS`.

    jobs: how many trials side by side; None for one here, and for all that Dask has room for.
    Raises ExecutorError where there is no such engine or it cannot be had.
    """
    if name is None:
        return threads(jobs or 1)
    kind, colon, address = name.partition(":")
    if kind != DASK or (colon and not address):
        raise ExecutorError(
            f"There is no executor {name!r}. There are: dask, for workers on this machine, and "
            "dask:ADDRESS for the scheduler of a cluster, as in dask:tcp://10.0.0.5:8786."
        )
    return dask_at(address, jobs) if address else dask_here(jobs or available())


@contextmanager
def threads(count: int) -> Iterator[Engine]:
    """So many trials side by side, each looked after by a thread of this process."""
    with ThreadPoolExecutor(count, "trial") as executor:
        yield Engine(executor, count)


@contextmanager
def dask_here(count: int) -> Iterator[Engine]:
    """So many Dask workers on this machine, a process each, for as long as this lasts."""
    distributed = _distributed()
    with (
        distributed.LocalCluster(
            n_workers=count,
            threads_per_worker=1,
            processes=True,
            memory_limit=0,  # of the worker, which holds next to nothing; trials have their own
            dashboard_address=None,
            preload=[IGNORE_CTRL_C],  # it is for the runner, which then ends them
            silence_logs=logging.CRITICAL,
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield _engine(client, count)


@contextmanager
def dask_at(address: str, count: int | None) -> Iterator[Engine]:
    """The Dask cluster whose scheduler has this address; it stays when this is over."""
    distributed = _distributed()
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # errors are told in our words
    try:
        client = distributed.Client(address, timeout=CONNECT)
    except (OSError, ValueError) as error:
        raise ExecutorError(
            f"No Dask scheduler answers at {address} ({error}). `dask scheduler` starts one and "
            "prints its address; `--executor dask` needs none."
        ) from None
    with client:
        room = sum(client.nthreads().values())
        if not room:
            raise ExecutorError(
                f"The Dask scheduler at {address} has no worker. Start one on each machine: "
                f"dask worker {address} --nthreads 1"
            )
        yield _engine(client, min(count or room, room))


def _engine(client: Any, slots: int) -> Engine:
    from distributed import KilledWorker

    return Engine(
        client.get_executor(pure=False),  # two trials that look alike are two
        slots,
        end=lambda run: client.run(process.end_trials, run),
        gives_up=(KilledWorker,),
    )


def _distributed() -> Any:
    """Dask distributed, which takes half a second to import and is not needed to run trials."""
    try:
        import distributed
    except ImportError as error:
        raise ExecutorError(
            f"`--executor dask` needs Dask distributed ({error}). Install it with: "
            "pip install 'autodiff-lab[dask]'"
        ) from None
    return distributed
