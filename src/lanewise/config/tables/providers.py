"""``[providers.NAME]``: an account at an OpenAI-compatible endpoint, how it is reached and what it allows."""

from __future__ import annotations

from typing import Self

from pydantic import BaseModel, Field, model_validator

from lanewise.config.tables.model_config import DECLARED
from lanewise.config.values.api_keys import ApiKeyField, KeyDropped
from lanewise.config.values.http_fields import BaseUrl, EnvName, HeaderName, Headers, OffOrHeader, Query, is_secret
from lanewise.config.values.scalars import Bool, Count, Text

__all__ = ["Provider"]


class Provider(BaseModel):
    """An account at an OpenAI-compatible endpoint.

    The provider that is called ``openai`` needs no ``base_url`` and no ``api_key_env``: they are
    ``https://api.openai.com/v1`` and ``OPENAI_API_KEY`` (as in the OpenAI SDK).

    With ``auth_header = "Authorization"`` the key is sent as ``Bearer <key>``; any other header gets the bare key.
    Without ``api_key_env`` and ``api_key`` no key is sent. ``api_key`` is for Python only: a text, or a function
    (also an async one) that is asked before an attempt. It is in no repr, dump or pickle.

    Raises:
        pydantic.ValidationError: a value can't be used; the text says which and why, and holds no value. In a
            :class:`Config` all such mistakes are listed at once.

    Example::

        Provider(base_url="https://x.openai.azure.com/openai/v1", auth_header="api-key", api_key=fetch_token)
    """

    model_config = DECLARED

    name: Text = ""
    insecure: Bool = Field(default=False, description="Allow http beyond loopback: all goes in the clear.")
    base_url: BaseUrl = Field(
        default="", description="Where the API begins, as for the OpenAI SDK: https://api.openai.com/v1"
    )
    api_key_env: EnvName | None = Field(
        default=None, description="The variable that has the key. Left out: no key is sent."
    )
    api_key: ApiKeyField | None = Field(default=None, exclude=True, repr=False)
    auth_header: HeaderName = Field(
        default="Authorization",
        description="The key's header: `Bearer <key>` in Authorization, the bare key in any other (Azure: api-key).",
    )
    query: Query = Field(default={}, repr=False, description="Parameters added to each URL (Azure: api-version).")
    headers: Headers = Field(default={}, repr=False, description="Headers added to each request.")
    idempotency_header: OffOrHeader = Field(
        default="Idempotency-Key", description="The header for the idempotency key; false if the provider takes none."
    )
    account: Text = Field(
        default="", description="Providers of one account share their health and limits. Default: the name."
    )
    optional: Bool = Field(
        default=False, description="If the key's variable is unset, its routes are off, with a warning."
    )
    rpm: Count | None = Field(default=None, description="Requests a minute that the account allows.")
    tpm: Count | None = Field(default=None, description="Tokens a minute that the account allows.")
    max_concurrency: Count | None = Field(default=None, description="Requests at a time that the account allows.")
    max_idle_connections: Count = Field(
        default=100, description="Connections that each process keeps open while nobody uses them."
    )

    @model_validator(mode="before")
    @classmethod
    def _well_known(cls, data: object) -> object:
        if not isinstance(data, dict):
            return data
        filled = dict(data)
        if not filled.get("account") and isinstance(filled.get("name"), str):
            filled["account"] = filled["name"]
        if filled.get("name") == "openai" and "base_url" not in filled:
            filled["base_url"] = "https://api.openai.com/v1"
            if filled.get("api_key_env") is None and filled.get("api_key") is None:
                filled["api_key_env"] = "OPENAI_API_KEY"
        return filled

    def named(self, name: str) -> Self:
        """The provider under this name, with what follows from the name.

        Example::

            assert Provider().named("openai").api_key_env == "OPENAI_API_KEY"
        """
        declared = {key: getattr(self, key) for key in self.model_fields_set}
        if self.account == self.name:
            declared.pop("account", None)  # it came from the name that is replaced
        return type(self).model_validate({**declared, "name": name})

    def __getstate__(self) -> dict[object, object]:
        """The state for pickle, in which a mark stands for each key that was given in Python."""
        state = dict(super().__getstate__())
        fields = dict(state["__dict__"])
        if self.api_key is not None:
            fields["api_key"] = KeyDropped()
        for place in ("headers", "query"):
            fields[place] = {
                name: KeyDropped() if isinstance(value, str) and is_secret(name, value) else value
                for name, value in fields[place].items()
            }
        state["__dict__"] = fields
        return state
