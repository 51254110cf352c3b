"""Starts one process, waits for it, and says how it ended. Run as a script, with -I and -S.

    launcher.py TIMEOUT OUTPUT COMMAND...

It stands between the runner and the trial because a process inherits the highest resident set of
the one that started it, as its own ru_maxrss: this one is small. It imports little, and knows
nothing of the project.

The command gets standard input as it is and the file OUTPUT as standard output. After TIMEOUT
seconds it is asked for a traceback (SIGUSR1) and then killed with all that it started. What it came
to is written to standard output as one JSON object:

    pid                    of the process
    status                 its exit status; of one that a signal ended, the signal's number below 0
    timed_out              whether it was ended because of the time
    peak_resident_bytes    ru_maxrss; null where the platform has none
    cpu_seconds            user and system; null where the platform has none
"""

from __future__ import annotations

import os
import signal
import sys
import time

NO_RANDOMIZE = 0x0040000  # personality(2): ADDR_NO_RANDOMIZE
TO_WRITE_A_TRACEBACK = 0.1  # seconds

ANSWER = (
    '{"pid": %s, "status": %s, "timed_out": %s, "peak_resident_bytes": %s, "cpu_seconds": %s}\n'
)


def main() -> None:
    timeout, output, *command = sys.argv[1:]
    if hasattr(os, "posix_spawn") and hasattr(os, "wait4"):
        answer = watch(float(timeout), output, command)
    else:
        answer = watch_simply(float(timeout), output, command)
    sys.stdout.write(ANSWER % answer)


def watch(timeout: float, output: str, command: list[str]) -> tuple[object, ...]:
    """Run the command in a process group of its own."""
    timed_out = False

    def on_timeout(number: int, frame: object) -> None:
        nonlocal timed_out
        timed_out = True
        signal_group(pid, signal.SIGUSR1)
        time.sleep(TO_WRITE_A_TRACEBACK)
        signal_group(pid, signal.SIGKILL)

    keep_addresses()
    to_file = (os.POSIX_SPAWN_OPEN, 1, output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=[to_file], setpgroup=0)
    signal.signal(signal.SIGTERM, lambda number, frame: signal_group(pid, signal.SIGKILL))
    signal.signal(signal.SIGALRM, on_timeout)
    signal.setitimer(signal.ITIMER_REAL, timeout)
    _, status, usage = os.wait4(pid, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal_group(pid, signal.SIGKILL)  # what it may have started and left behind
    unit = 1 if sys.platform == "darwin" else 1024
    peak, cpu = usage.ru_maxrss * unit, usage.ru_utime + usage.ru_stime
    return pid, os.waitstatus_to_exitcode(status), str(timed_out).lower(), peak, cpu


def signal_group(pid: int, number: int) -> None:
    try:
        os.killpg(pid, number)
    except (ProcessLookupError, PermissionError):
        return  # nothing is left of it; a zombie's group is not permitted on macOS


def keep_addresses() -> None:
    """Have what is started from here put at the same addresses each time, where that is allowed."""
    if sys.platform != "linux":
        return
    try:
        import ctypes

        ctypes.CDLL(None).personality(ctypes.c_ulong(NO_RANDOMIZE))
    except (ImportError, OSError, AttributeError):
        pass  # the environment in the record says whether it was done


def watch_simply(timeout: float, output: str, command: list[str]) -> tuple[object, ...]:
    """The same on a platform without process groups; it says nothing of what the process took."""
    import subprocess

    with open(output, "ab") as file, subprocess.Popen(command, stdout=file) as process:
        try:
            status, timed_out = process.wait(timeout), "false"
        except subprocess.TimeoutExpired:
            process.kill()
            status, timed_out = process.wait(), "true"
    return process.pid, status, timed_out, "null", "null"


if __name__ == "__main__":
    main()
