"""Becomes another program that ends when its parent does, even by SIGKILL.

    python -I -S tether.py PARENT_PID PROGRAM [ARGUMENTS]

It is a program, not a `preexec_fn`: nothing of ours runs between fork and exec
of a process that has threads. It imports only what the standard library has.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def tethered(argv: tuple[str, ...]) -> tuple[str, ...]:
    """The command line that runs `argv` tied to this process; as it is where Linux is not."""
    if sys.platform != "linux":
        return argv
    return (sys.executable, "-I", "-S", __file__, str(os.getpid()), *argv)


def main() -> None:
    """Ask the kernel for the signal, then become the program."""
    parent, program = int(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before we asked: no signal will come
        sys.exit(1)
    try:
        os.execvp(program[0], program)  # noqa: S606
    except OSError as error:
        sys.exit(f"{program[0]}: {error.strerror}")


if __name__ == "__main__":
    main()
