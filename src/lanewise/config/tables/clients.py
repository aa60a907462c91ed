"""``[clients.NAME]``: who may call the app's own OpenAI endpoint, with which keys, tasks, marks and limits."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, Field, Strict, WithJsonSchema
from pydantic.functional_validators import AfterValidator

from lanewise.config.mistakes import quoted
from lanewise.config.tables.model_config import DECLARED
from lanewise.config.values.durations import PositiveSeconds
from lanewise.config.values.http_fields import is_header_name, is_key_name
from lanewise.config.values.scalars import Count, NonEmpty, Text, wrong

__all__ = ["DIGEST", "SUBJECT", "Client"]

DIGEST: Final = r"^sha256:[0-9a-f]{64}$"
SUBJECT: Final = r"^header:[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_WRITTEN_DIGEST: Final[dict[str, Any]] = {"type": "string", "pattern": DIGEST}
_HEADER: Final = "header:"
_MAKE_ONE: Final = "`lanewise keys create NAME` makes a key, and prints the line that belongs here."


def _digests(value: object) -> object:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, Iterable) or isinstance(listed, Mapping) or not (digests := tuple(listed)):
        raise wrong("the digest of a key belongs here, or a list of them", _MAKE_ONE)
    for digest in digests:
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise wrong('this is not "sha256:" and 64 hex digits (it is not shown, it may be a key)', _MAKE_ONE)
    if len(set(digests)) < len(digests):
        raise wrong("one digest stands there twice", "Name each key once.")
    return digests


def _subject(value: str) -> str:
    name = value.removeprefix(_HEADER)
    if name == value or not is_header_name(name):
        raise wrong(f"{quoted(value)} is no subject", 'Name the header that tells it: "header:x-user-id".')
    if is_key_name(name):
        raise wrong(f"the header {quoted(name)} carries a key", "Name a header that tells whose call it is.")
    return _HEADER + name.lower()


def _some(names: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if names is not None and not names:
        raise wrong("the list is empty, so the client could use nothing", "Name its tasks, or leave `tasks` out.")
    return names


class Client(BaseModel):
    """Who may call the app's own OpenAI endpoint. ``deadline`` is in seconds.

    Without ``key`` only the app's ``authenticate=`` function can tell that it is this client.

    Example::

        Client(key="sha256:<64 hex digits>", tasks=("ticket-summary",), sensitive="payment")
    """

    model_config = DECLARED

    name: Text = ""
    key: Annotated[
        tuple[str, ...],
        BeforeValidator(_digests),
        WithJsonSchema({"anyOf": [_WRITTEN_DIGEST, {"type": "array", "minItems": 1, "items": _WRITTEN_DIGEST}]}),
    ] = Field(default=(), repr=False, description="The SHA-256 of its key, or of several: `lanewise keys create NAME`.")
    tasks: Annotated[tuple[NonEmpty, ...] | None, AfterValidator(_some)] = Field(
        default=None,
        json_schema_extra={"minItems": 1},
        description="The tasks that it may use. Left out: every task that is not sensitive.",
    )
    sensitive: NonEmpty | None = Field(
        default=None, description="The sensitive category of all its calls; it adds up with the task's."
    )
    labels: dict[Text, Text] = Field(default={}, description="Labels of its calls, for start rules and records.")
    subject: (
        Annotated[str, Strict(), AfterValidator(_subject), WithJsonSchema({"type": "string", "pattern": SUBJECT})]
        | None
    ) = Field(
        default=None,
        description="Whose call it is: \"header:NAME\" takes the client's word. Default: the client's name.",
    )
    deadline: PositiveSeconds | None = Field(default=None, description="The longest that its calls may take.")
    rpm: Count | None = Field(default=None, description="Calls a minute that it may make.")
    max_concurrency: Count | None = Field(default=None, description="Calls at a time that it may make.")

    @property
    def subject_header(self) -> str | None:
        """The header that tells whose call it is, in lower case.

        Example::

            assert Client(subject="header:X-User-ID").subject_header == "x-user-id"
        """
        return None if self.subject is None else self.subject.removeprefix(_HEADER)
