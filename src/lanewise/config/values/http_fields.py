"""URLs, headers, query parameters and names of environment variables, each with its check.

No message quotes a key: neither one in the wrong place, nor one within a URL.
"""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated, Any, Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

from pydantic import AfterValidator, BeforeValidator, Strict, ValidationInfo, WithJsonSchema

from lanewise.config.mistakes import looks_like_key, quoted
from lanewise.config.values.scalars import Text, reads_file, wrong

__all__ = [
    "BaseUrl",
    "EnvName",
    "HeaderName",
    "Headers",
    "OffOrHeader",
    "OwnHeader",
    "ProxySetting",
    "Query",
    "ServiceUrl",
    "is_env_name",
    "is_header_name",
    "is_key_name",
    "is_secret",
    "secret_in_url",
]

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_HEADER_VALUE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
# Names under which keys travel. Compared without case, "-" and "_".
_KEY_NAMES = frozenset(
    {
        "apikey",
        "key",
        "accesskey",
        "accesstoken",
        "token",
        "auth",
        "authorization",
        "secret",
        "clientsecret",
        "password",
    }
    | {"passwd", "sig", "signature", "subscriptionkey", "ocpapimsubscriptionkey", "xapikey", "xgoogapikey", "cookie"}
    | {"proxyauthorization", "sslpassword"}
)
_SECRET_WORD = re.compile(r"key|token|secret|auth|passw|credential|signature|cookie|session|bearer", re.IGNORECASE)
_NAME_FIX = "Letters, digits and dashes only."
# Set by the transport for each request: a second one would be a different request to some servers.
_FRAMING = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "expect", "te", "trailer", "upgrade"}
)


def is_key_name(name: str) -> bool:
    """Whether a header or a query parameter of this name usually carries a key."""
    return re.sub(r"[-_.]", "", name.lower()) in _KEY_NAMES


def is_secret(name: str, value: str) -> bool:
    """Whether a header or a query parameter seems to carry a key: by its name, or by what the value looks like."""
    return is_key_name(name) or _SECRET_WORD.search(name) is not None or looks_like_key(value)


def is_header_name(name: str) -> bool:
    """Whether this can be the name of a header."""
    return _HEADER_NAME.fullmatch(name) is not None


def _header_name(name: str) -> str:
    if not is_header_name(name):
        raise wrong(f"{quoted(name)} can't be the name of a header", _NAME_FIX)
    return name


def _own_header(name: str) -> str:
    """A header of the router's own: not one that carries keys, whose values would be echoed, logged or written over."""
    if _header_name(name).lower() in _FRAMING or is_key_name(name) or name.lower().startswith("set-cookie"):
        raise wrong(f"{quoted(name)} is a header with a meaning of its own", 'Name another one, as "X-Request-ID".')
    return name


def _headers(headers: dict[str, str], info: ValidationInfo) -> dict[str, str]:
    problems = [_wrong_with_header(name, value, in_file=reads_file(info)) for name, value in headers.items()]
    if found := [problem for problem in problems if problem is not None]:
        raise wrong("; ".join(problem for problem, _ in found), " ".join(dict.fromkeys(fix for _, fix in found)))
    return headers


def _wrong_with_header(name: str, value: str, *, in_file: bool) -> tuple[str, str] | None:
    """What is wrong with a header, and what would be right."""
    if not _HEADER_NAME.fullmatch(name):
        return f"{quoted(name)} can't be the name of a header", _NAME_FIX
    if name.lower() in _FRAMING:
        return f"the header {quoted(name)} is set for each request, and can't be set here", "Leave it out."
    if in_file and is_key_name(name):
        return f"the header {quoted(name)} carries a key", "Use `api_key_env` and `auth_header`."
    if value and not _HEADER_VALUE.fullmatch(value):
        fix = "Values are printable ASCII, with no line break, and no space at their ends."
        return f"the value of the header {quoted(name)} can't be sent", fix
    return None


def _query(query: dict[str, str], info: ValidationInfo) -> dict[str, str]:
    for name in query:
        if reads_file(info) and is_key_name(name):
            raise wrong(f"the query parameter {quoted(name)} carries a key", "Use `api_key_env` and `auth_header`.")
    return query


def is_env_name(name: str) -> bool:
    """Whether this can be the name of an environment variable, and is not a key that slipped into its place."""
    return not looks_like_key(name) and _ENV_NAME.fullmatch(name) is not None


def _env_name(name: str) -> str:
    # The commonest mistake is the key itself in place of the variable's name: no message may quote it.
    if not is_env_name(name):
        raise wrong(
            "this is not the name of an environment variable (the text is not shown, it may be a key)",
            'Put the key into a variable and write the variable\'s name: api_key_env = "OPENAI_API_KEY".',
        )
    return name


def secret_in_url(url: str) -> str | None:
    """Which part of a URL carries a credential, in words, or ``None``. The credential is not in the words."""
    try:
        parts = urlsplit(url)
        if "@" in parts.netloc and not _only_names_a_user(parts):
            return "a user name or password before the host"
        names = [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)]
    except ValueError:
        return None
    for name in names:
        if is_key_name(name):
            return f"the query parameter {quoted(name)}"
    return None


def _only_names_a_user(parts: SplitResult) -> bool:
    """Whether what stands before the host is the name of a database's user: of HTTP it may be a key."""
    user = parts.username or ""
    return parts.scheme.startswith("postgres") and not parts.password and not looks_like_key(user)


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _base_url(url: str, info: ValidationInfo) -> str:
    if not url:
        return url  # a provider with a well-known name fills it in; otherwise the model says that it is missing
    if (secret := secret_in_url(url)) is not None:
        raise wrong(f"the URL has a credential in it: {secret}", "Name a variable that has it: `api_key_env`.")
    example = 'It looks like "https://api.openai.com/v1".'
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host, parts = None, urlsplit("")
    if not host or not re.fullmatch(r"[\x21-\x7e]+", url):
        raise wrong("this is not a URL", example)
    if parts.query or parts.fragment:
        raise wrong("the URL has a query or a fragment", 'Write the query apart: query = { api-version = "..." }.')
    if parts.scheme == "http" and not _is_loopback(host) and not info.data.get("insecure"):
        raise wrong("the URL is not https", "Use https, or set `insecure = true` if nobody can listen on the way.")
    if parts.scheme not in ("http", "https"):
        raise wrong("the URL is not https", example)
    return url.rstrip("/")


def _off_or_header(value: object) -> object:
    if value is True:
        raise wrong("true is no header", "Name the header, or write false if the provider takes none.")
    return None if value is False else value


def _service_url(value: str, info: ValidationInfo) -> str:
    if not value.strip():
        raise wrong("the text is empty")
    if reads_file(info) and (secret := secret_in_url(value)) is not None:
        raise wrong(f"the URL has a credential in it: {secret}", 'Name a variable with the URL: "env:DATABASE_URL".')
    return value


def _proxy(value: str, info: ValidationInfo) -> str:
    if value in ("env", "none"):
        return value
    if reads_file(info) and (secret := secret_in_url(value)) is not None:
        raise wrong(f"the URL has a credential in it: {secret}", 'Write "env" and put the URL into HTTPS_PROXY.')
    try:
        parts = urlsplit(value)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fine = False
    if not fine:
        raise wrong("this is no proxy", 'Write "env", "none" or a URL like "http://proxy.example:3128".')
    return value


_HEADER: Final[dict[str, Any]] = {"type": "string", "pattern": "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"}

HeaderName = Annotated[str, Strict(), AfterValidator(_header_name), WithJsonSchema(_HEADER)]
OwnHeader = Annotated[str, Strict(), AfterValidator(_own_header), WithJsonSchema(_HEADER)]
OffOrHeader = Annotated[
    OwnHeader | None,
    BeforeValidator(_off_or_header),
    WithJsonSchema({"anyOf": [_HEADER, {"const": False}]}),
]
Headers = Annotated[dict[Text, Text], AfterValidator(_headers)]
Query = Annotated[dict[Text, Text], AfterValidator(_query)]
EnvName = Annotated[
    str,
    Strict(),
    AfterValidator(_env_name),
    WithJsonSchema({"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}),
]
BaseUrl = Annotated[
    str,
    Strict(),
    AfterValidator(_base_url),
    WithJsonSchema({"type": "string", "pattern": "^https?://[^@?#]+$"}),
]
ServiceUrl = Annotated[str, Strict(), AfterValidator(_service_url), WithJsonSchema({"type": "string", "minLength": 1})]
ProxySetting = Annotated[
    str,
    Strict(),
    AfterValidator(_proxy),
    WithJsonSchema({"type": "string", "pattern": "^(env|none|https?://.+)$"}),
]
