"""What the framework adapters share: marks, path rules, inbound scopes, problems, the audit of endpoints."""

from __future__ import annotations

from lanewise._runtime.loops.process_limits import require_real_threads
from lanewise._scope.entered import entered_states
from lanewise._scope.raising import raise_sensitivity, sensitivity
from lanewise.config.environment.libraries import require_library
from lanewise.scope import state_of
from lanewise.web.asgi_core import ENDED_BY, SCOPE_KEY, AsgiCore, AsgiScope, Receive, Send
from lanewise.web.call_errors import hang_up_in, log_hang_up, log_problem, routing_error_in
from lanewise.web.dashboard.asgi_dashboard import Dashboard
from lanewise.web.dashboard.wsgi_dashboard import WsgiDashboard
from lanewise.web.end_guard import EndGuard, guarded_scope
from lanewise.web.inbound import Inbound, router_of
from lanewise.web.logs import RequestIdFilter
from lanewise.web.marks.app_check import AppCheck
from lanewise.web.marks.app_search import OPAQUE, apps_within, categories_within, register_reader
from lanewise.web.marks.endpoint_report import (
    Endpoint,
    Source,
    all_categories,
    assert_declared,
    check_endpoints,
    endpoint_table,
    lost_mark,
    sources_of,
    sources_of_marks,
)
from lanewise.web.marks.mark_search import STANDARD, Marks, find_marks, marks_version, own_marks
from lanewise.web.marks.path_rules import PathRules
from lanewise.web.marks.request_marks import RequestMarks, marks_of
from lanewise.web.marks.request_position import RequestPosition, RouterWatch
from lanewise.web.marks.router_tree import Branch, RouterNode, RouterTree
from lanewise.web.marks.sensitivity_marks import (
    DONE,
    SensitiveMark,
    category_of,
    makes_marks,
    mark,
    mark_and_wrap,
    misplaced,
    standard,
)
from lanewise.web.openai_endpoint.asgi_endpoint import OpenAIEndpoint
from lanewise.web.openai_endpoint.wsgi_endpoint import WsgiAnswer, WsgiEndpoint, endpoint_error
from lanewise.web.openapi import SENSITIVE_EXTENSION, describe_operations
from lanewise.web.problems import MEDIA_TYPE, Problem, answers_of, problem_for
from lanewise.web.wsgi_core import WsgiCore

__all__ = [
    "DONE",
    "ENDED_BY",
    "MEDIA_TYPE",
    "OPAQUE",
    "SCOPE_KEY",
    "SENSITIVE_EXTENSION",
    "STANDARD",
    "AppCheck",
    "AsgiCore",
    "AsgiScope",
    "Branch",
    "Dashboard",
    "EndGuard",
    "Endpoint",
    "Inbound",
    "Marks",
    "OpenAIEndpoint",
    "PathRules",
    "Problem",
    "Receive",
    "RequestIdFilter",
    "RequestMarks",
    "RequestPosition",
    "RouterNode",
    "RouterTree",
    "RouterWatch",
    "Send",
    "SensitiveMark",
    "Source",
    "WsgiAnswer",
    "WsgiCore",
    "WsgiDashboard",
    "WsgiEndpoint",
    "all_categories",
    "answers_of",
    "apps_within",
    "assert_declared",
    "categories_within",
    "category_of",
    "check_endpoints",
    "describe_operations",
    "endpoint_error",
    "endpoint_table",
    "entered_states",
    "find_marks",
    "guarded_scope",
    "hang_up_in",
    "log_hang_up",
    "log_problem",
    "lost_mark",
    "makes_marks",
    "mark",
    "mark_and_wrap",
    "marks_of",
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
    "sources_of",
    "sources_of_marks",
    "standard",
    "state_of",
]
