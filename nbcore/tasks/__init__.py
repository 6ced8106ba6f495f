"""Tasks with hidden tests."""
