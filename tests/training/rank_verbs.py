"""One rank of the distributed tests: command lines of clipnerf, one after the other.

    python -m tests.training.rank_verbs JSON            a list of lists of arguments
    python -m tests.training.rank_verbs --dies-after FILE ARGUMENTS...
                                                    rank 1 kills itself once FILE is there
    python -m tests.training.rank_verbs --freezes-after FILE ARGUMENTS...
                                                    the same, but it stands still

Two further verbs: ``gradients FOLDER``, see rank_gradients, and ``pause FILE OTHER``: rank 0 makes
FILE, all ranks wait until OTHER is there.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

from clipnerf.cli import main


def wait_for(file: Path) -> None:
    """Until it is there."""
    while not file.exists():
        time.sleep(0.02)


FATES = {"--dies-after": signal.SIGKILL, "--freezes-after": signal.SIGSTOP}


def meet(fate: int, file: Path) -> None:
    """As the system would kill or stop it: at once, and without a word."""
    wait_for(file)
    os.kill(os.getpid(), fate)


def run(arguments: list[str]) -> int:
    """One command line; its exit code."""
    if arguments[0] == "pause":
        if os.environ["RANK"] == "0":
            Path(arguments[1]).touch()
        wait_for(Path(arguments[2]))
        return 0
    if arguments[0] == "gradients":
        from tests.training.rank_gradients import write_gradients  # slow to import

        write_gradients(Path(arguments[1]))
        return 0
    return main(arguments)


if __name__ == "__main__":
    if sys.argv[1] in FATES:
        if os.environ["RANK"] == "1":
            fate, file = FATES[sys.argv[1]], Path(sys.argv[2])
            threading.Thread(target=meet, args=(fate, file), daemon=True).start()
        sys.exit(run(sys.argv[3:]))
    for arguments in json.loads(sys.argv[1]):
        code = run(arguments)
        if code:
            sys.exit(code)
