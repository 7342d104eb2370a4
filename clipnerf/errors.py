"""The two errors a person sees: one line that names the thing, the value and the way out."""


class ClipNerfError(Exception):
    """A failure that is nobody's misuse (a full disk, a training that collapsed). Exit code 1."""

    exit_code = 1


class UsageError(ClipNerfError, ValueError):
    """Input or configuration that cannot be used as given. Exit code 2."""

    exit_code = 2
