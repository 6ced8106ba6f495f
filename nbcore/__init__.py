"""Train language models to write Rust: a small tested backend for the notebooks."""

__version__ = "0.1.0"
