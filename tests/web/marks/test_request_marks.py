"""What a request falls under is what the report of its app's endpoints says at that time, however rarely it is read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lanewise import Config
from lanewise.web import STANDARD, Endpoint, RequestMarks, Source, marks_of
from lanewise.web.marks.mark_search import write_mark

CONFIG = Config.from_mapping(
    {
        "providers": {"p": {"base_url": "http://127.0.0.1:9/v1"}},
        "routes": {"a": {"provider": "p", "model": "a"}},
        "tasks": {"t": {"primary": "a"}},
        "sensitive": {"payment": {"routes": ["a"]}, "medical": {"routes": ["a"]}},
        "endpoints": {"/payments/*": "payment"},
    }
)


def marked(*categories: str, path: str = "/x") -> Endpoint:
    return Endpoint("x", path, sources=tuple(Source(each, "@sensitive") for each in categories))


class Target:
    """What may be marked."""


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["mark", "another part", "ask", "ask all"]),
        st.frozensets(st.sampled_from(["payment", "medical", STANDARD])),
    ),
    max_size=12,
)


@given(steps=STEPS)
def test_what_is_known_is_never_older_than_the_last_mark_or_part(
    steps: list[tuple[str, frozenset[str]]],
) -> None:
    """Marks that are put on anything, and views or rules that take each other's place, are seen at the next request."""
    known = RequestMarks(CONFIG)
    now, part, parts = [marked()], object(), (object(), object())

    def report() -> list[Endpoint]:
        return now

    for step, categories in steps:
        if step == "mark":
            write_mark(Target(), "payment", "__a_mark__")
            now[0] = marked(*categories)
        elif step == "another part":
            now[0], part, parts = marked(*categories), object(), (parts[0], object())
        elif step == "ask":
            assert known.of("x", part, report) == marks_of(now, CONFIG)
        else:
            assert known.of_all(parts, report) == (marks_of(now, CONFIG) or None)


@pytest.mark.parametrize(
    ("endpoints", "expected"),
    [
        ([], None),
        ([marked()], None),
        ([marked(STANDARD)], frozenset()),
        ([marked(STANDARD), marked("payment")], {"payment"}),
        ([marked(path="/payments/7")], {"payment"}),
        ([marked("medical", path="/payments/7")], {"medical", "payment"}),
        ([Endpoint("x", "/x", sources=(Source("payment", "a closure", hidden=True),))], {"payment"}),
        ([marked("unknown")], {"unknown"}),
    ],
)
def test_all_that_says_something_of_an_endpoint_adds_up(
    endpoints: list[Endpoint], expected: frozenset[str] | None
) -> None:
    """Hidden marks, categories that the config has not, and path rules; nothing said is not the same as standard."""
    assert marks_of(endpoints, CONFIG) == expected


def test_methods_that_a_caller_makes_up_take_no_memory_for_good() -> None:
    """What is kept is bounded; what is dropped is read again."""
    known, part = RequestMarks(CONFIG), object()
    for number in range(25_000):
        assert known.of(("x", f"M{number}"), part, lambda: [marked("payment")]) == {"payment"}
    assert len(known._known) <= 10_000
