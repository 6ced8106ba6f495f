"""The phases. None imports another: they meet on disk."""
