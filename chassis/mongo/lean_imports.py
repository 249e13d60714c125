"""Keeps pymongo from loading what this program does not use. Import it before pymongo.

pymongo looks for PyOpenSSL, and loads the package cryptography on the way: 7 MB in each program that needs none of it.
Without PyOpenSSL it then uses Python's own ssl anyway.
"""

import sys
from importlib.util import find_spec

if find_spec("OpenSSL") is None:
    sys.modules["pymongo.pyopenssl_context"] = None  # type: ignore[assignment]  # an import of it fails at once
