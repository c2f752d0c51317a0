"""`python -m bios_sweep` is `bios-sweep`."""

import sys

from bios_sweep.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
