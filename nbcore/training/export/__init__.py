"""The model that leaves: base and adapter merged into a folder, and the proof that nothing was lost on the way."""
