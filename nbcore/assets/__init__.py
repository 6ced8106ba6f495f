"""What ships with the package, and the tools that remake it."""
