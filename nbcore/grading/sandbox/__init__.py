"""One untrusted program under limits: the jail, and the proof that it holds."""
