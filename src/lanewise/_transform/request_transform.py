"""The app's body x a route: the body that this route may get, and what was taken out of it.

The app's body is never changed. What a route has no rule for is forwarded byte by byte, in the order that the app
wrote it.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final, NoReturn

import msgspec

from lanewise._failures.additions import Addition
from lanewise._openai.parameters import FIXED, may_rest_on, rests_on
from lanewise._openai.request_body import BadBody, RequestBody, binding
from lanewise._openai.response_format import format_parameter, take_format
from lanewise._transform.capabilities import unmet
from lanewise._transform.emulation import NOT_ADAPTED, Emulator
from lanewise._transform.system_prompt import add_suffix
from lanewise.types import Api

if TYPE_CHECKING:
    from lanewise.config import Route

__all__ = ["BadBody", "RequestBody", "RequestTransform", "UpstreamBody", "binding", "may_stand_in"]

_ENCODE: Final = msgspec.json.Encoder().encode
_SORTED: Final = msgspec.json.Encoder(order="deterministic").encode
_OPTIONS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TRUE: Final = msgspec.Raw(b"true")
_NULL: Final = b"null"
_USAGE_OPTIONS: Final = msgspec.Raw(b'{"include_usage":true}')
_STREAM_OPTIONS: Final = "stream_options"
_NOTHING: Final[frozenset[str]] = frozenset()

_Fields = dict[str, msgspec.Raw]


class UpstreamBody(msgspec.Struct, frozen=True):
    """A body for one route. It has no pickle, and its repr leaves the body out: it holds the prompt.

    ``dropped`` names what the app sent and the route does not get, and what was to be added and was not. ``added`` is
    what was. ``transformed`` says that more than the model differs from the app's body. ``injected_usage``: the usage
    chunk was asked for by us, and must be hidden again.
    ``fingerprint`` stands, with the digest of the app's body, for the final body. ``adapted`` tells how the route
    stands in for what it can't take; ``calls`` is how many requests with this body make one answer.
    """

    raw: bytes
    dropped: tuple[str, ...]
    transformed: bool
    injected_usage: bool
    fingerprint: bytes
    adapted: tuple[str, ...] = ()
    calls: int = 1
    added: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"<UpstreamBody of {len(self.raw)} bytes, without {list(self.dropped)}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a rendered body holds the prompt: it can't be pickled or copied")


class RequestTransform:
    """What a route makes of a body, compiled once a route.

    The rules apply in this order: ``stand_in``, ``drop``, ``rename``, ``set`` (which wins over the app's value), what
    was learned, ``system_suffix``. A parameter that is listed in both ``drop`` and ``rename`` is renamed, and one that
    is listed in both ``drop`` and ``set`` is set: so a route says how it stands in for a parameter that it can't take.
    Raises ValueError if a rule is for the model, the messages, the input or ``stream``.

    Example::

        recipe = RequestTransform(config.routes["sonnet"])
        if recipe.incapable(body, Api.CHAT) is None:
            rendered = recipe.render(body, Api.CHAT, inject_usage=body.stream)
    """

    __slots__ = (
        *("_adapter", "_api", "_cannot", "_drop", "_fingerprints", "_model", "_plain", "_refuse"),
        *("_rename", "_seed", "_set", "_suffix"),
    )

    def __init__(self, route: Route) -> None:
        fixed = FIXED.intersection((*route.drop, *route.rename, *route.rename.values(), *route.set))
        if fixed:
            raise ValueError(f"route {route.name!r} can't drop, rename or set {', '.join(sorted(fixed))}")
        self._api = frozenset(route.api)
        self._model = msgspec.Raw(_ENCODE(route.model))
        adapter = Emulator(route)
        self._adapter = adapter if any(adapter.rules) else None
        self._cannot = tuple(name for name in route.cannot if name not in adapter.abilities)
        self._drop = frozenset(route.drop) - route.rename.keys() - route.set.keys() - adapter.parameters
        self._rename = dict(route.rename)
        self._set = {name: msgspec.Raw(_ENCODE(value)) for name, value in route.set.items()}
        self._suffix = route.system_suffix
        self._refuse = tuple(sorted(name for name in self._drop if may_rest_on(name)))
        self._plain = not (self._drop or self._rename or self._set or self._suffix or self._adapter)
        rules = (route.model, sorted(self._drop), self._rename, self._set, self._suffix, adapter.rules)
        self._seed = hashlib.sha256(_SORTED(rules)).digest()
        self._fingerprints = {
            (api, injected): self._fingerprint(api, injected, ()) for api in Api for injected in (False, True)
        }

    def __repr__(self) -> str:
        return f"<RequestTransform for {bytes(self._model).decode()}>"

    @property
    def takes_all(self) -> bool:
        """Whether no body makes the route incapable, so that :meth:`incapable` need not be asked for each."""
        limited = self._adapter is not None and self._adapter.limits
        return not (self._refuse or self._cannot or limited)

    def incapable(self, body: RequestBody, api: Api) -> str | None:
        """Why the route can't take this body, or ``None``: it needs what the model can't do, or a parameter that
        matters would have to be dropped.

        Example::

            recipe.incapable(RequestBody.parse(b'{"tools": [{}]}'), Api.CHAT)  # "can't take tools"
        """
        if api not in self._api:
            return f"does not offer {api}"
        for name in self._refuse:
            value = body.fields.get(name)
            if value is not None and rests_on(name, bytes(value)):
                return f"can't take {name}"
        if api is Api.EMBEDDINGS:
            return None
        return self._unable(body, api)

    def _unable(self, body: RequestBody, api: Api) -> str | None:
        needed = unmet(self._cannot, body, api) if self._cannot else None
        if needed is not None:
            return f"can't do {needed}"
        return None if self._adapter is None else self._adapter.incapable(body, api)

    def render(
        self,
        body: RequestBody,
        api: Api,
        *,
        inject_usage: bool = False,
        added_format: bool = False,
        without: frozenset[str] = _NOTHING,
    ) -> UpstreamBody:
        """The body for this route.

        ``inject_usage`` asks for the usage chunk of a chat stream where the app did not; ``added_format`` says that the
        body's format is the task's. ``without`` is what the provider was found to refuse, by the names that it got
        (what the answer's meaning rests on stays in), and the additions that go.

        Example::

            rendered = recipe.render(body, Api.CHAT, without=frozenset({"temperature"}))
            assert rendered.dropped == ("temperature",)
        """
        adapted = NOT_ADAPTED
        app_fields = body.fields
        left_out: tuple[str, ...] = ()
        added: tuple[str, ...] = ()
        if added_format and Addition.FORMAT in without:
            app_fields = dict(app_fields)
            take_format(app_fields, api)  # as the app wrote them, before the task's format was added
            left_out = (Addition.FORMAT.value,)
        elif added_format and self._sends_format(api):
            added = (Addition.FORMAT.value,)
        if self._adapter is not None:
            app_fields = dict(app_fields)
            adapted = self._adapter.adapt(app_fields, api)
        fields, dropped = self._declared(app_fields)
        learned = _take(fields, without) if without else ()
        if self._suffix is not None:
            only_extend = Addition.SUFFIX in without
            if add_suffix(fields, self._suffix, api, only_extend=only_extend):
                left_out, added = _noted(Addition.SUFFIX, only_extend, left_out, added)
        injected = False
        if inject_usage and body.stream and api is Api.CHAT and _STREAM_OPTIONS not in self._drop:
            unwanted = _STREAM_OPTIONS in without
            asked = _ask_usage(dict(fields) if unwanted else fields)
            injected = asked and not unwanted
            if asked:
                left_out, added = _noted(Addition.USAGE, unwanted, left_out, added)
        touched = injected or bool(learned) or bool(left_out) or not self._plain
        transformed = touched and fields != body.fields
        fields["model"] = self._model
        taken = learned + left_out
        fingerprint = self._fingerprint(api, injected, taken) if taken else self._fingerprints[api, injected]
        return UpstreamBody(
            _ENCODE(fields), dropped + taken, transformed, injected, fingerprint, adapted.notes, adapted.calls, added
        )

    def _sends_format(self, api: Api) -> bool:
        """Whether a format goes out as a parameter: not put into the prompt, nor dropped."""
        name = format_parameter(api)
        return name not in self._drop and (self._adapter is None or name not in self._adapter.parameters)

    def droppable(self, param: str | None, body: RequestBody, rendered: UpstreamBody) -> str | None:
        """What may be taken out after the provider refused this parameter of ``rendered``, or ``None``.

        Never what the answer's meaning rests on, nor a part of a parameter (``messages[0].name``), nor what is out
        already.

        Example::

            recipe.droppable("temperature", body, rendered)  # "temperature", for ``without`` of the next rendering
        """
        if param is None or param in FIXED or param in rendered.dropped or param == _STREAM_OPTIONS:
            return None
        sent = self._declared(body.fields)[0].get(param)
        return param if sent is not None and not rests_on(param, bytes(sent)) else None

    def _declared(self, app_fields: _Fields) -> tuple[_Fields, tuple[str, ...]]:
        """The fields after the route's own rules, and what of the app's was taken out."""
        if not (self._drop or self._rename or self._set):
            return dict(app_fields), ()
        out = {name for name in app_fields if name in self._drop or self._gives_way(name, app_fields)}
        fields = {self._rename.get(name, name): value for name, value in app_fields.items() if name not in out}
        fields.update(self._set)
        return fields, tuple(name for name in app_fields if name in out and bytes(app_fields[name]) != _NULL)

    def _gives_way(self, name: str, app_fields: _Fields) -> bool:
        """Of a renamed parameter and one that has the new name already, the app's explicit one stays."""
        target = self._rename.get(name)
        if target is None:
            return name in self._rename.values() and bytes(app_fields[name]) == _NULL
        return target in app_fields and target not in self._rename and bytes(app_fields[target]) != _NULL

    def _fingerprint(self, api: Api, injected: bool, learned: tuple[str, ...]) -> bytes:
        return hashlib.sha256(self._seed + _ENCODE((api, injected, learned))).digest()


def may_stand_in(first: Route, other: Route) -> bool:
    """Whether two routes give the same embeddings: the same model, or one is declared ``same_as`` the other.

    Vectors of different models can't be compared, so embeddings never move to another one.

    Example::

        assert may_stand_in(routes["small"], routes["small-azure"])
    """
    return first.model == other.model or other.name in first.same_as or first.name in other.same_as


def _take(fields: _Fields, without: frozenset[str]) -> tuple[str, ...]:
    """Take out what a provider was learned to refuse, save what it must get."""
    taken = tuple(
        name
        for name in sorted(without & fields.keys())
        if name not in FIXED and name != _STREAM_OPTIONS and not rests_on(name, bytes(fields[name]))
    )
    for name in taken:
        del fields[name]
    return taken


def _noted(
    addition: Addition, is_out: bool, left_out: tuple[str, ...], added: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return ((*left_out, addition.value), added) if is_out else (left_out, (*added, addition.value))


def _ask_usage(fields: _Fields) -> bool:
    """Ask for the usage chunk; whether that changed anything."""
    written = fields.get(_STREAM_OPTIONS)
    if written is None or bytes(written) == _NULL:
        fields[_STREAM_OPTIONS] = _USAGE_OPTIONS
        return True
    try:
        options = _OPTIONS.decode(written)
    except msgspec.MsgspecError:
        return False  # malformed: the provider says so
    asked = options.get("include_usage")
    if asked is not None and bytes(asked) == b"true":
        return False
    options["include_usage"] = _TRUE
    fields[_STREAM_OPTIONS] = msgspec.Raw(_ENCODE(options))
    return True
