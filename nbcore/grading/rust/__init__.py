"""Rust: a completion becomes a program, the program a verdict."""
