"""`python -m nbcore …`."""
