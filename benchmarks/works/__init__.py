"""The work of each side: a module a side, with a `prepare` that returns the work as a function."""
