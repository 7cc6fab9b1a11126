"""`python -m lwdash …`: the command line."""

import sys

from lwdash.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
