"""Keyset paging over a collection; `chassis.paging` has the cursors."""

from collections.abc import Mapping
from typing import Any

from pymongo.collection import Collection

from chassis.mongo.client import ASCENDING, DESCENDING, Document
from chassis.paging import Page, SortValue, decode_cursor, encode_cursor


def find_page(
    collection: Collection[Document],
    conditions: Mapping[str, Any],
    sort: list[tuple[str, int, type]],
    *,
    limit: int,
    cursor: str | None,
    feed: bool = False,
) -> Page[Document]:
    """Return the documents after `cursor` in the order of `sort`: [(field, direction, kind)], the last one unique.

    All fields are sorted in the same direction. A feed, which grows at its end, has a next cursor after every page
    but an empty one. Raises Invalid if the cursor is not one of this list.
    """
    query = dict(conditions)
    order = ",".join(f"{'-' if way == DESCENDING else ''}{field}" for field, way, _ in sort)
    if cursor is not None:
        seen = decode_cursor(cursor, order, [kind for _, _, kind in sort])
        query = {"$and": [query, *_after(sort, seen)]}
    found = collection.find(query).sort([(field, way) for field, way, _ in sort]).limit(limit + 1)
    documents = list(found)
    more = len(documents) > limit
    documents = documents[:limit]
    last = [documents[-1][field] for field, _, _ in sort] if documents and (more or feed) else None
    return Page(documents, encode_cursor(order, last) if last is not None else None)


def _after(sort: list[tuple[str, int, type]], values: list[SortValue]) -> list[Document]:
    beyond = "$gt" if sort[0][1] == ASCENDING else "$lt"
    if len(sort) == 1:
        return [{sort[0][0]: {beyond: values[0]}}]
    (first, _, _), (last, _, _) = sort
    return [
        {first: {f"{beyond}e": values[0]}},  # bounds the index scan; the next line leaves out what was seen
        {"$or": [{first: {beyond: values[0]}}, {last: {beyond: values[1]}}]},
    ]
