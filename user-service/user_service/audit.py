"""What user-service knows about its accounts: `python -m user_service.audit`, see `chassis.audit_export`."""

from chassis import audit_export, mongo
from chassis.config import DatabaseSettings
from user_service.store import UserStore


def main() -> None:
    """Print each account's id, roles, and how its password is kept; never an address or a hash."""
    audit_export.write(
        UserStore(mongo.connect(DatabaseSettings.load().mongo_url, "user-audit", timeout=60)).audit_records()
    )


if __name__ == "__main__":
    main()
