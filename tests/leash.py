"""Run a command that dies with its parent: `leash.py PARENT_PID COMMAND ARG...`.

A test run that is killed leaves nothing behind on Linux: the kernel sends SIGKILL to the
command when the process that started it is gone. Elsewhere this only runs the command.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    parent, command = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the line above took effect
            sys.exit(1)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
