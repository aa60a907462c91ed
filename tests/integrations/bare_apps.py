"""Apps in which lanewise is not installed."""

from __future__ import annotations

from flask import Flask
from litestar import Litestar
from starlette.applications import Starlette

flask_app = Flask(__name__)
starlette_app = Starlette()
litestar_app = Litestar()
