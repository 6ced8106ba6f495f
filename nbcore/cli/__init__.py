"""The command line: `python -m nbcore …`."""
