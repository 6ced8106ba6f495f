"""The phases. None imports another: they meet on disk."""

import nbcore.training  # noqa: F401 - first, because it quiets the libraries that a phase imports next
