"""Documents, rows and tasks."""
