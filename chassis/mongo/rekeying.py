"""A migration of derived keys: fields that are computed from a document's texts, for searching and comparing.

`keys_version` of a document is the version of the rules that computed its keys. To change the rules, raise the version
that the service passes: at its next start the service migrates the older documents.
"""

import logging
from collections.abc import Callable
from typing import Any

from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError
from pymongo.operations import IndexModel

BATCH = 100  # documents read at once, which bounds the memory
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
    """Write the keys that `make_keys` computes from the fields `sources` into every document of an older version.

    Several processes may run it at once and be killed at any moment: each write is a compare-and-set on the sources. If
    another document has the same `unique` key by now, the old key stays, and a warning names the document.
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
            document = f"{collection.name} {condition['_id']}"
            log.warning("%s keeps its old %s: another document has the new one", document, unique)
