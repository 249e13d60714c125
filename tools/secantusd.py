"""SecantusDB's own program, which ends an idle transaction after 10 s rather than 60: it has no option for that.

A process that is killed leaves its transaction open, and the products that it touched locked. For a mongod the same is
said by `--setParameter transactionLifetimeLimitSeconds=10`.
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
