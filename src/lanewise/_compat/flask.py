"""Flask: what is put around its requests, where it keeps views and functions, and how it answers an error."""

from __future__ import annotations

from typing import Final

from lanewise._compat.parts import Library, Part

__all__ = ["FLASK"]

FLASK: Final = Library(
    "flask",
    ("3.1.2", "3.1.3"),
    (
        Part("flask:Flask.__call__", uses=("wsgi_app",)),
        Part("flask:Flask.preprocess_request", uses=("before_request_funcs",)),
        Part("flask:Flask.dispatch_request", uses=("view_functions",)),
        Part(
            "flask.sansio.scaffold:Scaffold.__init__",
            uses=(
                "view_functions",
                "error_handler_spec",
                "before_request_funcs",
                "after_request_funcs",
                "teardown_request_funcs",
                "url_value_preprocessors",
                "template_context_processors",
            ),
        ),
        Part(
            "flask.sansio.app:App.__init__", uses=("blueprints", "extensions", "url_map", "teardown_appcontext_funcs")
        ),
        Part("flask:Flask.handle_user_exception", takes=("e",)),
        Part("flask:Flask.finalize_request", takes=("rv", "from_error_handler")),
        Part("flask:Flask.request_context", takes=("environ",)),
        Part("flask.sansio.app:App._find_error_handler", uses=("error_handler_spec",)),
        Part("flask.views:View.as_view", uses=("view_class",)),
        Part("werkzeug.local:LocalProxy.__init__", uses=("_get_current_object",)),
    ),
)
