"""Query strings, read strictly: a parameter given twice has no single meaning."""

from flask import Flask, request

from chassis.errors import Invalid


def refuse_repeated(app: Flask) -> None:
    """Answer 422 to a parameter given more than once. To be called after authentication is installed.

    The models of queries cannot tell: they get the first value only.
    """
    app.before_request(_refuse_repeated)


def _refuse_repeated() -> None:
    if request.blueprint and request.method != "OPTIONS" and b"&" in request.query_string:
        repeated = [name for name, values in request.args.lists() if len(values) > 1]
        if repeated:
            raise Invalid(errors=[{"field": name, "message": "must be given once"} for name in repeated])
