"""Turns what went wrong into one class for each thing that a caller can act on.

Message shape (rule 8): ``what failed: on what: the value, and what to do``. Edges (command line,
Docker API, Kubernetes API) map the class to an exit code, a status and a reason; nobody parses
the text.
"""


class DockyardError(Exception):
    """Anything Dockyard refuses or fails at, for a reason that a person can act on."""

    exit_code = 1


class Invalid(DockyardError):
    """The input breaks its grammar or schema; the same input will never work."""


class NotFound(DockyardError):
    """The named thing does not exist."""


class Conflict(DockyardError):
    """The thing exists already, or is in a state (or at a revision) that does not allow this."""


class Denied(DockyardError):
    """The caller is known but may not do this, or a policy refuses it."""


class Unavailable(DockyardError):
    """A peer (registry, monitor, API server) does not answer now; retrying may help."""


class Unsupported(DockyardError):
    """This kernel, platform or version of Dockyard can't do it: "not implemented"."""


class Corrupt(DockyardError):
    """Stored or received bytes are not what their digest, size or schema promises."""
