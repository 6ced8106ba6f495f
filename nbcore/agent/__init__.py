"""The repair environment: a crate with a fault, the tools to read and edit it, and hidden tests that decide."""
