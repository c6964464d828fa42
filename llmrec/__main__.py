"""`python -m llmrec` is `llmrec`."""

import sys

from llmrec.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
