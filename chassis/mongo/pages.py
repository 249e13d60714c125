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
    """Return the documents after `cursor`, sorted by `sort`: [(field, direction, type)], the last field unique.

    All fields have the same direction. A `feed` grows at its end, so each of its pages that is not empty has a next
    cursor. Raises Invalid for a cursor of another list.
    """
    order = ",".join(f"{'-' if way == DESCENDING else ''}{field}" for field, way, _ in sort)
    if cursor is not None:
        last_seen = decode_cursor(cursor, order, [kind for _, _, kind in sort])
        after = _after(sort, last_seen)
        # A server may use only the first bound of an index: in a feed the cursor's is the narrower one.
        conditions = {"$and": [*after, conditions] if feed else [conditions, *after]}
    rows = list(collection.find(conditions).sort([(field, way) for field, way, _ in sort]).limit(limit + 1))
    documents, has_more = rows[:limit], len(rows) > limit
    if not documents or not (has_more or feed):
        return Page(documents, None)
    return Page(documents, encode_cursor(order, [documents[-1][field] for field, _, _ in sort]))


def _after(sort: list[tuple[str, int, type]], values: list[SortValue]) -> list[Document]:
    beyond = "$gt" if sort[0][1] == ASCENDING else "$lt"
    if len(sort) == 1:
        return [{sort[0][0]: {beyond: values[0]}}]
    (first, _, _), (last, _, _) = sort
    return [
        {first: {f"{beyond}e": values[0]}},  # bounds the index scan; the next condition leaves out what was seen
        {"$or": [{first: {beyond: values[0]}}, {last: {beyond: values[1]}}]},
    ]
