"""The leases of the workers, by which they know of one another."""

from datetime import datetime, timedelta

from pymongo.database import Database

from chassis.mongo import ASCENDING, DatabaseClock, Document, retry_and_translate


@retry_and_translate
class WorkerLeases:
    """One document per worker that runs, with the time until which it counts."""

    def __init__(self, database: Database[Document], clock: DatabaseClock) -> None:
        self._leases = database.worker_leases
        self._clock = clock

    def renew(self, name: str, seconds: float) -> list[str]:
        """Renew the lease of a worker, and return the names of all that have one, in order. Remove what has ended."""
        now = self._clock()
        self._leases.update_one({"_id": name}, {"$set": {"until": now + timedelta(seconds=seconds)}}, upsert=True)
        living, ended = self._read(now)
        if ended:
            self._leases.delete_many({"_id": {"$in": ended}, "until": {"$lte": now}})
        return living

    def living(self) -> list[str]:
        """Return the names of all workers that have a lease, in order."""
        return self._read(self._clock())[0]

    def _read(self, now: datetime) -> tuple[list[str], list[str]]:
        """Return the names of the workers whose lease goes on, and of those whose lease has ended."""
        leases = list(self._leases.find().sort("_id", ASCENDING))
        living = [each["_id"] for each in leases if each["until"] > now]
        return living, [each["_id"] for each in leases if each["until"] <= now]

    def end(self, name: str) -> None:
        """End the lease of a worker."""
        self._leases.delete_one({"_id": name})
