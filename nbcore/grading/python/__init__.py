"""HumanEval-style Python, in the same jail."""
