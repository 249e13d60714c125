"""Query strings, read strictly: a parameter given twice has no single meaning."""

from collections.abc import Callable
from typing import Any

from flask import request

from chassis.errors import Invalid


def reject_repeated_parameters(_view: Callable[..., Any]) -> None:
    """Refuse a parameter given more than once: the models of queries get its first value only. Raises Invalid."""
    if b"&" in request.query_string and request.blueprint:
        repeated = [name for name, values in request.args.lists() if len(values) > 1]
        if repeated:
            raise Invalid(errors=[{"field": name, "message": "must be given once"} for name in repeated])
