"""The keys that a config names, looked up when a router opens; each that is missing is a mistake."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import NoReturn

from pydantic import SecretStr

from lanewise._sealing import Seal, storage_keys, wrong_with_storage_key
from lanewise.config.config import Config
from lanewise.config.environment.ledger_url import ledger_warnings, look_up_ledger
from lanewise.config.environment.libraries import check_libraries
from lanewise.config.environment.store_address import StoreAddress, find_store
from lanewise.config.mistakes import MistakeCollector
from lanewise.config.tables.providers import Provider
from lanewise.config.values.api_keys import HiddenKeySource, KeyDropped, KeySource, wrong_with_key

__all__ = ["Credentials", "key_header", "look_up_keys", "resolve_credentials"]


class Credentials:
    """The keys of a config's providers, and which routes are off because an optional one has none.

    ``off_routes`` maps the name of a route to the reason, ``warnings`` are lines to log; ``secret`` is what subjects
    are hashed with, ``seal`` what stored texts are encrypted with, ``store`` where the shared state is, ``ledger`` the
    URL of the ledger's database, each if there is one. The values are in no repr, and credentials refuse to be pickled.
    """

    __slots__ = ("_keys", "ledger", "off_routes", "seal", "secret", "store", "warnings")

    def __init__(
        self,
        keys: Mapping[str, SecretStr | HiddenKeySource],
        off_routes: Mapping[str, str],
        warnings: tuple[str, ...] = (),
        secret: bytes | None = None,
        seal: Seal | None = None,
        store: StoreAddress | None = None,
        ledger: str | None = None,
    ) -> None:
        self._keys = dict(keys)
        self.off_routes = dict(off_routes)
        self.warnings = warnings
        self.secret = secret
        self.seal = seal
        self.store = store
        self.ledger = ledger

    def key(self, provider: str) -> str | KeySource | None:
        """The provider's key, the function that gives it, or ``None`` if no key is to be sent.

        Example::

            key = credentials.key("openai")
            headers = [] if key is None else [key_header(config.providers["openai"], key)]
        """
        key = self._keys.get(provider)
        return key.get_secret_value() if isinstance(key, SecretStr) else key

    def __repr__(self) -> str:
        return f"Credentials(providers={sorted(self._keys)}, off_routes={sorted(self.off_routes)})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("credentials can't be pickled: open the router anew in the other process")


def key_header(provider: Provider, key: str) -> tuple[str, str]:
    """The header that carries a provider's key: ``Bearer <key>`` in Authorization, the bare key in any other.

    Raises:
        ValueError: the key can't be in a header (a function may have given it); the text does not hold it.
    """
    if (reason := wrong_with_key(key)) is not None:
        raise ValueError(f"the key of provider {provider.name!r} {reason}")
    if provider.auth_header.lower() == "authorization":
        return provider.auth_header, f"Bearer {key}"
    return provider.auth_header, key


def resolve_credentials(config: Config, environ: Mapping[str, str]) -> Credentials:
    """Look up the keys of all providers that a route uses. Functions that give keys are kept, not called.

    Raises:
        ConfigError: naming every variable that is unset (unless its provider is optional) or can't be a key, and
            every task that has no route left.

    Example::

        credentials = resolve_credentials(config, os.environ)
    """
    credentials, findings = look_up_keys(config, environ)
    findings.raise_any(None if config.source is None else str(config.source))
    return credentials


def look_up_keys(config: Config, environ: Mapping[str, str]) -> tuple[Credentials, MistakeCollector]:
    """The keys of all providers that a route uses, and the mistakes: variables that are unset or hold no key."""
    findings = MistakeCollector()
    keys: dict[str, SecretStr | HiddenKeySource] = {}
    off: dict[str, str] = {}
    warnings: list[str] = []
    for name, provider in config.providers.items():
        routes = [route.name for route in config.routes.values() if route.provider == name]
        key = _key_of(provider, environ, findings) if routes else None
        if isinstance(key, SecretStr | HiddenKeySource):
            keys[name] = key
        elif key is not None:
            off.update(dict.fromkeys(routes, key))
            warnings.append(f"provider {name}: {key}, so these routes are off: {', '.join(routes)}")
    _check_tasks(config, off, findings)
    warnings += _secret_warnings(config, environ)
    seal = _seal(config, environ, findings)
    store = find_store(config.router.state, environ, findings)
    ledger = look_up_ledger(config.router.ledger, config.source, environ, findings)
    warnings += ledger_warnings(ledger)
    _check_packages(config, findings)
    check_libraries(config, findings, shared_store=store is not None)
    return Credentials(keys, off, tuple(warnings), _secret(config, environ), seal, store, ledger), findings


def _check_packages(config: Config, findings: MistakeCollector) -> None:
    """Note the packages of OpenTelemetry and Prometheus that the config asks for and that are not installed."""
    wanted = {"opentelemetry": ("opentelemetry.trace", "otel"), "prometheus": ("prometheus_client", "prometheus")}
    for key, (package, extra) in wanted.items():
        if getattr(config.router, key) and not _is_there(package):
            fix = f"pip install 'lanewise[{extra}]'"
            findings.add(("router", key), f"the package for {key} is not installed", fix)


def _is_there(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # not even its parent is
        return False


def _key_of(
    provider: Provider, environ: Mapping[str, str], findings: MistakeCollector
) -> SecretStr | HiddenKeySource | str | None:
    """The key; or, as a text, why the provider is off; or ``None`` if no key is sent."""
    place = ("providers", provider.name)
    dropped: list[tuple[str, ...]] = [
        (field, name)
        for field, values in (("headers", provider.headers), ("query", provider.query))
        for name, value in values.items()
        if isinstance(value, KeyDropped)
    ]
    key = provider.api_key
    if isinstance(key, KeyDropped):
        key = None
        dropped.append(("api_key",))
    for where in dropped:
        findings.add((*place, *where), "the key is missing: a pickled config has no keys", "Give it again.")
    if dropped:
        return None
    if key is not None or provider.api_key_env is None:
        return key
    variable = provider.api_key_env
    value = environ.get(variable, "")
    if not value and provider.optional:
        return f"the variable {variable} is not set"
    if not value:
        findings.add(
            (*place, "api_key_env"),
            f"the variable {variable} is not set",
            f"Set it (export {variable}=...), or write `optional = true` if the app can do without this provider.",
        )
        return None
    if (reason := wrong_with_key(value)) is not None:
        findings.add((*place, "api_key_env"), f"the key in {variable} {reason}", f"Set {variable} to the key alone.")
        return None
    return SecretStr(value)


def _check_tasks(config: Config, off: Mapping[str, str], findings: MistakeCollector) -> None:
    for name, task in config.tasks.items():
        category = None if task.sensitive is None else config.sensitive[task.sensitive]
        usable = [route for route in task.routes if category is None or route in category.routes]
        if usable and all(route in off for route in usable):
            problem = f"no route is left, these are off: {', '.join(usable)}"
            findings.add(("tasks", name), problem, "Set the key of one of them.")


def _secret(config: Config, environ: Mapping[str, str]) -> bytes | None:
    variable = config.router.secret_env
    value = "" if variable is None else environ.get(variable, "")
    return value.encode("utf-8", "surrogateescape") if value else None


def _secret_warnings(config: Config, environ: Mapping[str, str]) -> tuple[str, ...]:
    variable = config.router.secret_env
    if variable is None or environ.get(variable):
        return ()
    return (f"router.secret_env: the variable {variable} is not set, so subjects are not recorded",)


def _seal(config: Config, environ: Mapping[str, str], findings: MistakeCollector) -> Seal | None:
    variable = config.router.storage_key_env
    if variable is None:
        return None
    place = ("router", "storage_key_env")
    value = environ.get(variable, "")
    reason = wrong_with_storage_key(value)
    if reason is not None:
        problem = f"the key in {variable} {reason}" if value else f"the variable {variable} is not set"
        findings.add(place, problem, f"Set it to what `openssl rand -base64 32` prints: export {variable}=...")
        return None
    try:
        return Seal(storage_keys(value))
    except ImportError:
        findings.add(place, "the package cryptography is not installed", "pip install 'lanewise[ledger]'")
        return None
