"""Turns whoever runs this process into the attribute by which a folder hides those below it.

overlayfs reads root's, or with ``userxattr`` an ordinary user's (the kernel's overlayfs.rst).
"""

import os

OPAQUE = "trusted.overlay.opaque" if os.geteuid() == 0 else "user.overlay.opaque"
"""Attribute of a directory, ``y``: what lower layers have in it is not seen."""
