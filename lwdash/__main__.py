"""`python -m lwdash …`, the same as the command `lwdash …`."""

import sys

from lwdash.cli.start import main

if __name__ == "__main__":
    sys.exit(main())
