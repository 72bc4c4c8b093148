"""Exceptions that a client rebuilds when it allows this module (`allowed_remote_exmods`)."""


class PeerError(Exception):
    """A service's own exception: a message made from keyword arguments, as cinder's are."""

    message = "peer error about %(subject)s"

    def __init__(self, message=None, **kwargs):
        self.kwargs = kwargs
        super().__init__(message or self.message % kwargs)
