"""Everything that touches rustc: extract and screen code, compile and run it under limits, report a verdict."""
