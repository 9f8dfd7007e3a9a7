"""The version of the package, and how it introduces itself to web servers."""

import os

__version__ = "0.2.0"

PROJECT_URL = "https://example.org/restore"
"""The project's public page. Whoever publishes the project sets its address here."""

CONTACT = "RESTORE_CONTACT"
"""The environment variable with the URL or e-mail address of whoever runs the program."""


def user_agent() -> str:
    """Return the User-Agent header of every outgoing request.

    It names the program, its version and a contact, as Wikimedia's policy asks
    (https://meta.wikimedia.org/wiki/User-Agent_policy): servers refuse the defaults of libraries.
    """
    contact = os.environ.get(CONTACT, "").strip()
    if not (contact.isascii() and contact.isprintable()):
        contact = ""  # it cannot be part of a header
    return f"Restore/{__version__} ({contact or PROJECT_URL})"
