"""Keys that documents carry for finding and comparing their texts, made anew when the rules for them have changed.

Each document says in `keys_version` by which rules its keys were made. To change the rules, raise the version that the
service passes: its next start brings older documents up to date, and finds by an index when there are none.
"""

import logging
from collections.abc import Callable
from typing import Any

from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError
from pymongo.operations import IndexModel

BATCH = 100  # documents read at once
Document = dict[str, Any]

log = logging.getLogger(__name__)


def rekey(
    collection: Collection[Document],
    version: int,
    sources: tuple[str, ...],
    make_keys: Callable[[Document], Document],
    *,
    unique: str,
) -> None:
    """Write the keys that `make_keys` makes of the fields `sources` into every document of an older version.

    Several processes may do so at once, and be killed at any moment: a document is written only while its sources are
    as they were read. One whose `unique` key another document has by now keeps its old one, and is named in a warning.
    """
    collection.create_indexes([IndexModel("keys_version")])
    outdated: Document = {"keys_version": {"$in": [None, *range(1, version)]}}
    while documents := list(collection.find(outdated, dict.fromkeys(sources, True)).limit(BATCH)):
        for document in documents:
            as_read = {name: document.get(name) for name in sources}
            keys = {**make_keys(document), "keys_version": version}
            _write(collection, {"_id": document["_id"], **outdated, **as_read}, keys, unique)


def _write(collection: Collection[Document], condition: Document, keys: Document, unique: str) -> None:
    try:
        collection.update_one(condition, {"$set": keys})
    except DuplicateKeyError:
        rest = {name: value for name, value in keys.items() if name != unique}
        if collection.update_one(condition, {"$set": rest}).modified_count:
            log.warning(
                "%s %s keeps its old %s: by the present rules another one has the same",
                collection.name,
                condition["_id"],
                unique,
            )
