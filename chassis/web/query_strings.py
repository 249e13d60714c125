"""Strict query strings: a parameter that is given twice has no single meaning."""

from collections.abc import Callable
from typing import Any

from flask import request

from chassis.errors import Invalid


def reject_repeated_parameters(_view: Callable[..., Any]) -> None:
    """Reject a repeated parameter, of which a query model would see only the first value. Raises Invalid."""
    if b"&" in request.query_string and request.blueprint:
        repeated = [name for name, values in request.args.lists() if len(values) > 1]
        if repeated:
            raise Invalid(errors=[{"field": name, "message": "must be given once"} for name in repeated])
