"""Samples in, verdicts out, verdicts to rewards."""
