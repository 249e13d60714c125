"""What user-service knows about its accounts: `python -m user_service.audit`, see `chassis.facts`."""

from chassis import facts, mongo
from user_service import config
from user_service.store import UserStore


def main() -> None:
    """Print each account's id, roles, and how its password is kept; never an address or a hash."""
    facts.write(UserStore(mongo.connect(config.load_mongo_url(), "user-audit", timeout=60)).facts())


if __name__ == "__main__":
    main()
