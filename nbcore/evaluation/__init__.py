"""What an evaluation makes of answers: numbers with intervals, refusals, the files that people read, and the watch."""
