"""The audit records of user-service: `python -m user_service.audit`, see `chassis.audit_export`."""

from chassis import audit_export, mongo
from chassis.config import DatabaseSettings
from user_service.store import UserStore


def main() -> None:
    """Print each account's id, roles and password hash algorithm; never an e-mail address or a hash."""
    database = mongo.connect(DatabaseSettings.load().mongo_url, "user-audit", timeout=60)
    audit_export.write(UserStore(database).audit_records())


if __name__ == "__main__":
    main()
