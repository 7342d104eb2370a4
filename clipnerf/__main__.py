"""``python -m clipnerf`` is the command ``clipnerf``."""

import sys

from clipnerf.cli import main

if __name__ == "__main__":
    sys.exit(main())
