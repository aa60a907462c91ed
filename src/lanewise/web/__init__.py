"""What the framework adapters share: marks, path rules, inbound scopes, problems, the audit of endpoints."""

from __future__ import annotations

from lanewise._runtime.real_threads import require_real_threads
from lanewise._scope.entered import entered_states
from lanewise._scope.raising import raise_sensitivity, sensitivity
from lanewise.config.libraries import require_library
from lanewise.scope import begin_serving, end_serving, state_of
from lanewise.web.app_search import apps_within, categories_within, register_reader
from lanewise.web.asgi import (
    ENDED_BY,
    SCOPE_KEY,
    AsgiCore,
    AsgiScope,
    Receive,
    Send,
    hang_up_in,
    log_hang_up,
    log_problem,
    routing_error_in,
)
from lanewise.web.end_guard import EndGuard, guarded_scope
from lanewise.web.endpoint_report import (
    Endpoint,
    Source,
    assert_declared,
    check_endpoints,
    endpoint_table,
    unmatched_rules,
)
from lanewise.web.inbound import Inbound, router_of
from lanewise.web.lane_header import with_lane
from lanewise.web.logs import RequestIdFilter
from lanewise.web.mark_search import STANDARD, Marks, find_marks, lost_marks, marks_version, own_marks
from lanewise.web.openai_endpoint.asgi_endpoint import OpenAIEndpoint
from lanewise.web.openai_endpoint.wsgi_endpoint import WsgiAnswer, WsgiEndpoint, endpoint_error
from lanewise.web.paths import PathRules
from lanewise.web.problems import MEDIA_TYPE, Problem, answers_of, problem_for
from lanewise.web.sensitivity_marks import (
    DONE,
    SensitiveMark,
    category_of,
    makes_marks,
    mark,
    mark_and_wrap,
    misplaced,
    standard,
)
from lanewise.web.wsgi_disconnects import WsgiDisconnectWatcher, abort_connection, caller_left_error, disconnect_probe

__all__ = [
    "DONE",
    "ENDED_BY",
    "MEDIA_TYPE",
    "SCOPE_KEY",
    "STANDARD",
    "AsgiCore",
    "AsgiScope",
    "EndGuard",
    "Endpoint",
    "Inbound",
    "Marks",
    "OpenAIEndpoint",
    "PathRules",
    "Problem",
    "Receive",
    "RequestIdFilter",
    "Send",
    "SensitiveMark",
    "Source",
    "WsgiAnswer",
    "WsgiDisconnectWatcher",
    "WsgiEndpoint",
    "abort_connection",
    "answers_of",
    "apps_within",
    "assert_declared",
    "begin_serving",
    "caller_left_error",
    "categories_within",
    "category_of",
    "check_endpoints",
    "disconnect_probe",
    "end_serving",
    "endpoint_error",
    "endpoint_table",
    "entered_states",
    "find_marks",
    "guarded_scope",
    "hang_up_in",
    "log_hang_up",
    "log_problem",
    "lost_marks",
    "makes_marks",
    "mark",
    "mark_and_wrap",
    "marks_version",
    "misplaced",
    "own_marks",
    "problem_for",
    "raise_sensitivity",
    "register_reader",
    "require_library",
    "require_real_threads",
    "router_of",
    "routing_error_in",
    "sensitivity",
    "standard",
    "state_of",
    "unmatched_rules",
    "with_lane",
]
