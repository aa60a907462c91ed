"""Marks on Flask's views, view classes and their methods, blueprints and whole apps."""

from __future__ import annotations

from functools import partial
from typing import TypeVar

from flask import Blueprint, Flask

from lanewise import current_scope
from lanewise.web import SensitiveMark, makes_marks, mark, mark_and_wrap, raise_sensitivity

__all__ = ["Sensitive", "sensitive"]

_T = TypeVar("_T")


class Sensitive(SensitiveMark):
    """Marks with a category what it is called with. Made by :func:`sensitive`."""

    def __call__(self, target: _T) -> _T:
        """Mark a view, a view class or its method, a blueprint or an app.

        Raises TypeError: it is none of these. ConfigError: it is in an app already whose config lacks the category.
        """
        from flask_lanewise.audit import check_marked  # it knows the marks

        self.is_used = True
        if isinstance(target, Blueprint | Flask):
            functions = target.before_request_funcs.setdefault(None, [])
            functions.insert(0, partial(_raise_in_group, self.category))  # also where no lanewise is installed
            mark(target, self.category)
            check_marked(target, self.category)
            return target
        marked = mark_and_wrap(target, self.category)
        check_marked(target, self.category)
        return marked


def _raise_in_group(category: str) -> None:
    """Before a request of a marked group: raise the sensitivity of the scope that is served in, if there is one."""
    if current_scope() is not None:
        raise_sensitivity(category)


@makes_marks
def sensitive(category: str) -> Sensitive:
    """Mark what falls under a category of the config: only the routes approved for it may answer there.

    For views (above or below ``@app.post``), View and MethodView classes, their methods, blueprints and whole apps.
    Marks add up, and none relaxes another. The category must be in the config, or the app does not start.

    Raises TypeError: no category is given, or the target is none of these. ConfigError: the target is in an app already
    whose config lacks the category.

    Example::

        @app.post("/refunds")
        @sensitive("payment")
        def refund(): ...

        sensitive("payment")(payments)  # a blueprint, with those that are nested in it
    """
    return Sensitive(category)
