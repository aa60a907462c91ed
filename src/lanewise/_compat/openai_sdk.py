"""The openai SDK: the methods that its requests pass through, and what its clients keep."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from functools import cached_property
from operator import attrgetter, is_
from pathlib import Path
from types import CodeType, FunctionType, MethodType, SimpleNamespace
from typing import Any, Final, NamedTuple, get_args

from lanewise._compat.parts import Library, Part

__all__ = ["OPENAI", "OPENAI_CREATE", "OPENAI_REQUEST", "Creation", "SdkInternals", "creation_of", "sdk_internals"]

_BASE: Final = "openai._base_client"
OPENAI: Final = Library(
    "openai",
    ("3.30", "3.57"),
    (
        Part(f"{_BASE}:get_platform"),
        Part(f"{_BASE}:BaseClient.__init__", uses=("_platform",)),
        Part(f"{_BASE}:BaseClient._prepare_url", takes=("url",)),
        Part(f"{_BASE}:BaseClient._build_request", uses=("_prepare_url", "build_request")),
        Part(f"{_BASE}:AsyncAPIClient._prepare_request", takes=("request",)),
        Part(f"{_BASE}:AsyncAPIClient.request", uses=("_build_request", "_prepare_request", "_platform")),
        Part(f"{_BASE}:SyncAPIClient._prepare_request", takes=("request",)),
        Part(f"{_BASE}:SyncAPIClient.request", uses=("_build_request", "_prepare_request")),
        Part("openai:AsyncOpenAI.copy", takes=("http_client",)),
        Part("openai:OpenAI.copy", takes=("http_client",)),
    ),
)

OPENAI_REQUEST: Final = Library(
    OPENAI.distribution,
    OPENAI.seen,
    (
        Part(f"{_BASE}:_merge_mappings", takes=("obj1", "obj2")),
        Part(f"{_BASE}:BaseClient._build_request", takes=("options",)),
        Part(f"{_BASE}:BaseClient._make_status_error_from_response", takes=("response",)),
        Part(f"{_BASE}:AsyncAPIClient.request", uses=("_prepare_options", "_send_request", "_process_response")),
        Part(f"{_BASE}:SyncAPIClient.request", uses=("_prepare_options", "_send_request", "_process_response")),
        Part("openai._models:construct_type", takes=("type_", "value")),
        Part("openai._models:add_request_id", takes=("obj", "request_id")),
        Part("openai._utils._json:openapi_dumps"),
        Part("openai._streaming:AsyncStream.__init__", uses=("_cast_to", "_iterator")),
        Part("openai._streaming:Stream.__init__", uses=("_cast_to", "_iterator")),
    ),
)
"""What answering in the place of the SDK's ``request()`` rests on: where it has changed, ``request()`` does it all."""
_RESOURCES: Final = "openai.resources"
OPENAI_CREATE: Final = Library(
    OPENAI.distribution,
    OPENAI.seen,
    (
        Part(
            f"{_RESOURCES}.chat.completions.completions:AsyncCompletions.create",
            uses=("async_maybe_transform", "CompletionCreateParamsNonStreaming", "_post"),
        ),
        Part(
            f"{_RESOURCES}.chat.completions.completions:Completions.create",
            uses=("maybe_transform", "CompletionCreateParamsNonStreaming", "_post"),
        ),
        Part(
            f"{_RESOURCES}.responses.responses:AsyncResponses.create",
            uses=("async_maybe_transform", "ResponseCreateParamsNonStreaming", "_post"),
        ),
        Part(
            f"{_RESOURCES}.responses.responses:Responses.create",
            uses=("maybe_transform", "ResponseCreateParamsNonStreaming", "_post"),
        ),
        Part("openai._resource:AsyncAPIResource.__init__", uses=("_client", "_post")),
        Part("openai._resource:SyncAPIResource.__init__", uses=("_client", "_post")),
        Part("openai._utils._transform:get_type_hints", takes=("obj", "include_extras")),
        Part("openai._utils._compat:is_typeddict"),
        Part("openai._utils._transform:PropertyInfo.__init__", uses=("alias",)),
        Part("openai.types.chat.completion_create_params:CompletionCreateParamsNonStreaming"),
        Part("openai.types.responses.response_create_params:ResponseCreateParamsNonStreaming"),
    ),
)
"""What answering in the place of ``create()`` rests on besides; what it does with its arguments is tried out."""
_STEPS: Final = (
    ("self", "cast_to", "options", "stream", "stream_cls"),
    ("self", "cast_to", "options", "response", "stream", "stream_cls", "retries_taken"),
    ("self", "options"),
    ("self", "request", "stream", "kwargs"),
)
"""What ``request``, ``_process_response``, ``_prepare_options`` and ``_send_request`` take in the versions seen."""
_main_steps: Final = attrgetter("request", "_process_response", "_prepare_options", "_send_request")


class SdkInternals(NamedTuple):
    """The steps of the SDK's ``request()``, for who answers in its place."""

    dump: Callable[[Any], bytes]
    merge: Callable[[Any, Any], dict[str, Any]]
    construct: Callable[..., Any]
    add_request_id: Callable[[Any, str | None], None]
    logger: str
    steps: RequestSteps
    async_steps: RequestSteps


class RequestSteps(NamedTuple):
    """All methods and properties of the SDK's client that its ``request()`` runs through, as they were found."""

    classes: SimpleNamespace
    read: Callable[[SimpleNamespace], tuple[object, ...]]
    found: tuple[object, ...]

    def are_as_found(self) -> bool:
        """Whether nobody has put something of their own in the place of a step since: it would not be called."""
        return all(map(is_, self.read(self.classes), self.found))  # a tracer's may be equal to the one that it wraps


def _request_steps(kind: type) -> RequestSteps | None:
    """By the names that the code of each step uses; ``None``: one of them is somebody's own."""
    names: dict[str, list[type]] = {}
    waiting = ["request", "_process_response_data"]  # which reading the response calls
    while waiting:
        name = waiting.pop()
        owners = [each for each in kind.__mro__ if name in vars(each) and not hasattr(object, name)]
        if name in names or not owners:
            continue
        methods = [_method_in(vars(each)[name]) for each in owners]
        if not all(map(callable, methods)):
            if any(hasattr(each, "__get__") and not isinstance(each, cached_property) for each in methods):
                return None
            continue
        if not all(map(_is_the_sdks, methods)):
            return None
        names[name] = owners
        for method in methods:
            waiting += _names_in(inspect.unwrap(method).__code__)
    # What an own method of the kind may call by super() is looked at where it stands.
    seen_from = {kind: "kind"} | {owner: owner.__name__ for owners in names.values() for owner in owners[1:]}
    classes = SimpleNamespace(**{name: owner for owner, name in seen_from.items()})
    read = attrgetter(*(f"{seen_from[each]}.{name}" for name, owners in names.items() for each in (kind, *owners[1:])))
    return RequestSteps(classes, read, read(classes))


def _method_in(member: Any) -> Any:
    if isinstance(member, property):
        return member.fget
    return member.__func__ if isinstance(member, staticmethod | classmethod) else member


def _names_in(code: CodeType) -> Iterator[str]:
    """The names of globals and attributes that code uses, with that of functions within."""
    yield from code.co_names
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _names_in(each)


def sdk_internals() -> SdkInternals | None:
    """The steps of ``request()``; ``None``: they are others than in the versions that were seen, or somebody's own."""
    if OPENAI_REQUEST.changes():
        return None
    import openai
    from openai._base_client import _merge_mappings
    from openai._models import add_request_id, construct_type
    from openai._utils._json import openapi_dumps

    steps, async_steps = _request_steps(openai.OpenAI), _request_steps(openai.AsyncOpenAI)
    if steps is None or async_steps is None:
        return None
    main = *_main_steps(openai.OpenAI), *_main_steps(openai.AsyncOpenAI)
    for step, takes in zip(main, (*_STEPS, *_STEPS), strict=True):
        if hasattr(step, "__wrapped__") or tuple(inspect.signature(step).parameters) != takes:
            return None
    return SdkInternals(
        openapi_dumps,
        _merge_mappings,
        construct_type,
        add_request_id,
        _BASE,
        steps,
        async_steps,
    )


class Creation(NamedTuple):
    """A ``create()`` of the SDK that sends plain JSON as it is: its path, the model of its answer, and the arguments
    that it sends under their own names, in this order."""

    path: str
    model: object
    fields: tuple[str, ...]
    takes: frozenset[str]
    required: frozenset[str]
    resource: Any
    create: object
    post: object

    def is_as_found(self, resource: Any) -> bool:
        """Whether ``create()`` and what it posts by are the SDK's own on this resource of a client."""
        post = resource._post
        as_bound = type(post) is MethodType and post.__func__ is self.post and post.__self__ is resource._client
        return as_bound and self.resource.create is self.create


_EXTRA: Final = frozenset({"extra_headers", "extra_body", "timeout"})
_TAKEN: Final = _EXTRA | {"extra_query"}


def creation_of(resource: Any, client: Any) -> Creation | None:
    """What the ``create()`` of a resource does on clients of this class; ``None``: it can't be told, is somebody's own,
    or gives JSON other names.

    It is called once, with a recorder in the place of the client.
    """
    create, post = vars(resource).get("create"), client.post
    if OPENAI_CREATE.changes() or not (_is_the_sdks(create) and _is_the_sdks(post)):
        return None
    own = inspect.unwrap(create)  # of the SDK's check for required arguments
    if not _KNOWN.issuperset(own.__code__.co_names):
        return None
    parameters = {name: each for name, each in inspect.signature(own).parameters.items() if name != "self"}
    marks: dict[str, Any] = {name: object() for name in parameters} | {"extra_query": None, "stream": False}
    if not parameters.keys() >= _TAKEN:
        return None
    recorder = _Recorder()
    try:
        begun = create(resource(recorder), **marks)
        if inspect.iscoroutine(begun):
            with contextlib.suppress(StopIteration):
                begun.send(None)
                begun.close()
        (path, body, options, cast_to) = recorder.recorded()
        renames = any(True for _ in _aliases(_params_of(own), set()))
    except Exception:  # noqa: BLE001 - whatever it does, it is not what is known here
        return None
    as_they_are = isinstance(body, dict) and all(value is marks.get(name, recorder) for name, value in body.items())
    options_set = {name: options.get(key) for name, key in _OPTION_OF.items()}
    if renames or not as_they_are or options_set != {name: marks[name] for name in _EXTRA}:
        return None
    if not options.keys() <= {*_OPTION_OF.values(), "security"}:
        return None

    required = frozenset(name for name, each in parameters.items() if each.default is each.empty)
    fields = tuple(body)
    return Creation(path, cast_to, fields, frozenset(fields) | _TAKEN, required, resource, create, post)


_KNOWN: Final = frozenset(
    {
        "AsyncStream",
        "ChatCompletion",
        "ChatCompletionChunk",
        "CompletionCreateParamsNonStreaming",
        "CompletionCreateParamsStreaming",
        "Response",
        "ResponseCreateParamsNonStreaming",
        "ResponseCreateParamsStreaming",
        "ResponseStreamEvent",
        "Stream",
        "_post",
        "async_maybe_transform",
        "completion_create_params",
        "make_request_options",
        "maybe_transform",
        "response_create_params",
        "validate_response_format",  # refuses a model in the place of a format, which is no JSON
    }
)
"""All that the code of a ``create()`` names in the versions seen: one that does more is another."""
_OPTION_OF: Final = {"extra_headers": "headers", "extra_body": "extra_json", "timeout": "timeout"}


class _Recorder:
    """In the place of a client: notes what a resource posts."""

    def __init__(self) -> None:
        self._calls: list[tuple[Any, ...]] = []

    def post(self, path: str, *, body: Any, options: Any, cast_to: Any, stream: bool, stream_cls: Any) -> _Nothing:
        if stream or stream_cls is None:
            raise TypeError("no stream was asked for")
        self._calls.append((path, body, options, cast_to))
        return _Nothing()

    get = patch = put = delete = get_api_list = post

    def recorded(self) -> tuple[Any, ...]:
        """What was posted, once. Raises ValueError."""
        (call,) = self._calls
        return call


class _Nothing:
    def __await__(self) -> Iterator[Any]:
        return iter(())


def _is_the_sdks(method: Any) -> bool:
    """Whether a method is the SDK's own, and so is what it is wrapped around: no tracer's."""
    import openai

    code = getattr(method, "__code__", None)
    if code is None or type(method) is not FunctionType:  # a tracer's may say that it is one
        return False
    inner = getattr(method, "__wrapped__", None)
    return Path(code.co_filename).is_relative_to(Path(openai.__file__).parent) and (
        inner is None or _is_the_sdks(inner)
    )


def _params_of(create: Any) -> Any:
    """The type by which the JSON of a ``create()`` without a stream is gone through."""
    name = next(each for each in create.__code__.co_names if each.endswith("CreateParamsNonStreaming"))
    module = next(each for each in create.__code__.co_names if each.endswith("_create_params"))
    return getattr(create.__globals__[module], name)


def _aliases(kind: Any, seen: set[Any]) -> Iterator[str]:
    """The other names that the SDK gives to keys in JSON of this type, however deep."""
    from openai._utils._compat import is_typeddict
    from openai._utils._transform import get_type_hints

    for each in get_args(kind):
        alias = getattr(each, "alias", None)
        if isinstance(alias, str):
            yield alias
        elif each is not kind and not isinstance(each, str):
            yield from _aliases(each, seen)
    if is_typeddict(kind) and kind not in seen:
        seen.add(kind)
        for field in get_type_hints(kind, include_extras=True).values():
            yield from _aliases(field, seen)
