"""Copies of runs on a second root: a folder such as a Drive, or a Hub bucket."""
