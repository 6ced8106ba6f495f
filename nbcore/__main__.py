"""Lets `python -m nbcore` find the command line."""

import sys

from nbcore.cli.main import main

sys.exit(main())
