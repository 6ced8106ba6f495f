"""What every room may use: records, JSON lines, environment, hardware, redaction."""
