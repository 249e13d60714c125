"""SecantusDB's program, with a setting that has no option: the lifetime of an idle transaction, 10 s.

A killed process leaves its transaction open, and the products that it touched locked, for 60 s by default. mongod has
the same setting as `--setParameter transactionLifetimeLimitSeconds=10`.
"""

import sys

from secantus import cli
from secantus.server import SecantusDBServer

defaults = SecantusDBServer.__init__.__kwdefaults__
if "transaction_lifetime_seconds" not in defaults:
    raise SystemExit("this version of SecantusDB does not take transaction_lifetime_seconds")
defaults["transaction_lifetime_seconds"] = 10.0

if __name__ == "__main__":
    sys.exit(cli.main())
