"""The verbs: each checks its paths, calls the library and writes files."""
