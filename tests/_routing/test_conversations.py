"""What tells a conversation from others, and where it is answered while its prompt is cached."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from _routing.planning import DEGRADED, EQUIVALENT, candidate
from lanewise._openai.request_body import RequestBody
from lanewise._routing.selection.conversations import (
    LIFETIME,
    Conversation,
    Conversations,
    conversation_key,
    pinned_first,
)
from lanewise._routing.selection.ordering import subject_picks
from lanewise.types import Api, Attempt, LaneName

SYSTEM = {"role": "system", "content": "You help."}
FIRST = {"role": "user", "content": "canary-prompt: where is my parcel?"}
MORE = [{"role": "assistant", "content": "Which one?"}, {"role": "user", "content": "The blue one."}]


def key(body: dict[str, Any], api: Api = Api.CHAT, **labels: str) -> str | None:
    return conversation_key(RequestBody.parse(json.dumps(body).encode()), api, labels)


def attempt(route: str, told: int = 1000, cached: int | None = 0) -> Attempt:
    return Attempt(
        call_id="c",
        attempt_number=1,
        route=route,
        lane=LaneName.PRIMARY,
        model_asked="m",
        provider_host="h",
        idempotency_key="k",
        started_at=datetime.now(UTC),
        input_tokens=told,
        output_tokens=5,
        cached_tokens=cached,
    )


def test_all_calls_of_a_conversation_have_one_key() -> None:
    """By its beginning, as far as the first message of the user; the app's own words go before that."""
    begun = key({"messages": [SYSTEM, FIRST]})
    assert begun == key({"messages": [SYSTEM, FIRST, *MORE]})
    assert begun != key({"messages": [SYSTEM, MORE[1]]})
    assert begun != key({"messages": [FIRST]})
    named = key({"messages": [FIRST], "prompt_cache_key": "ticket-7"})
    assert named == key({"messages": MORE, "prompt_cache_key": "ticket-7"}, conversation="other")
    assert named == key({"messages": MORE}, conversation="ticket-7")
    asked = key({"instructions": "Help.", "input": "Where?"}, Api.RESPONSES)
    assert asked == key({"input": "Where?", "instructions": "Help."}, Api.RESPONSES)
    assert key({"instructions": "Help.", "input": [FIRST]}, Api.RESPONSES) == key(
        {"instructions": "Help.", "input": [FIRST, *MORE]}, Api.RESPONSES
    )
    assert key({"input": "x"}, Api.EMBEDDINGS) is None
    assert key({}) is None
    assert "canary" not in (begun or "")


@pytest.mark.parametrize("odd", [None, 5, "text", {}, [], [None, 5, "x"], [[]], [{"role": 5}], {"role": "user"}])
def test_whatever_is_sent_has_a_key_or_none(odd: object) -> None:
    """A malformed request is the provider's to refuse."""
    for api in Api:
        key({"messages": odd, "input": odd, "instructions": odd, "prompt_cache_key": odd}, api)


def test_a_conversation_goes_on_where_it_was_answered_for_half_an_hour() -> None:
    """From its last answer on; another task, or another conversation, does not."""
    made = Conversations()
    made.answered("t", Conversation("k"), attempt("b"), 100.0)
    assert made.route_of("t", "k", 100.0 + LIFETIME - 1) == "b"
    assert made.route_of("t", "k", 100.0 + LIFETIME) is None
    assert made.route_of("t", "other", 100.0) is None
    assert made.route_of("u", "k", 100.0) is None
    made.answered("t", Conversation("k"), attempt("a"), 1000.0)
    assert made.route_of("t", "k", 2000.0) == "a"


def test_many_conversations_are_forgotten_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was answered longest ago first."""
    monkeypatch.setattr("lanewise._routing.selection.conversations.CAPACITY", 3)
    made = Conversations()
    for number in (1, 2, 3, 1, 4, 5):
        made.answered("t", Conversation(f"k{number}"), attempt("b"), 100.0)
    assert [number for number in range(1, 6) if made.route_of("t", f"k{number}", 100.0)] == [1, 4, 5]


def test_a_pinned_route_goes_first_within_its_lane_or_an_equivalent_one() -> None:
    """Not one that is worse, nor one that can't take the call, nor one beyond the lane that it was told to start in."""
    a, b = candidate("a"), candidate("b")
    c, d, off = candidate("c", EQUIVALENT), candidate("d", DEGRADED), candidate("b", incapable="off")
    found = (a, b, c, d)
    assert pinned_first(found, "b", None) == (b, a, c, d)
    assert pinned_first(found, "c", None) == (c, a, b, d)
    assert pinned_first(found, "c", LaneName.PRIMARY) == found
    for same in ("a", "d", "gone", None):
        assert pinned_first(found, same, None) == found
    assert pinned_first((a, off), "b", None) == (a, off)
    assert pinned_first((), "b", None) == ()


class Others:
    """The other workers: what they were told, and who hears of it."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.hears: list[Any] = []

    def subscribe(self, receive: Any) -> None:
        if receive not in self.hears:
            self.hears.append(receive)

    def publish(self, pin: str, route: str) -> None:
        self.told.append((pin, route))


def test_other_workers_are_told_of_what_they_would_not_look_for() -> None:
    """A conversation that moved, or came back; one at home is no news, and nor is each further turn."""
    others = Others()
    made = Conversations(b"secret", others)

    def turn(route: str, at: float, home: str | None = "a") -> list[str]:
        others.told.clear()
        first = made.route_of("t", "k", at) or home
        made.answered("t", Conversation("k", home, first), attempt(route), at)
        return [told for _, told in others.told]

    assert turn("a", 0.0) == []
    assert turn("a", 10.0) == []
    assert turn("b", 20.0) == ["b"]
    assert turn("b", 30.0) == []
    assert turn("b", 30.0 + LIFETIME / 2) == ["b"]  # it must not end while the conversation lasts
    assert turn("a", 40.0 + LIFETIME / 2) == ["a"]
    assert turn("a", 50.0 + LIFETIME / 2) == []
    assert turn("b", 60.0 + 2 * LIFETIME) == ["b"]
    assert turn("a", 5 * LIFETIME, home=None) == ["a"]  # workers may differ on where it begins
    assert turn("a", 5 * LIFETIME + 1, home=None) == []


def test_a_call_that_began_before_a_move_does_not_undo_it() -> None:
    """It was answered where the conversation was; where it is now was told meanwhile."""
    others = Others()
    made = Conversations(None, others)
    made.answered("t", Conversation("k", "a", "a"), attempt("a"), 0.0)
    made.receive(made._digest("t", "k"), "b", LIFETIME)
    made.answered("t", Conversation("k", "a", "a"), attempt("a"), 1.0)
    assert made.route_of("t", "k", 2.0) == "b"
    made.answered("t", Conversation("k", "a", "b"), attempt("a"), 3.0)
    assert made.route_of("t", "k", 4.0) == "a"
    assert [route for _, route in others.told] == ["a"]


def test_what_is_told_last_is_right_for_all() -> None:
    """Two workers that moved a conversation at once come to the same route; nothing of its name is told."""
    others = Others()
    workers = [Conversations(b"secret", others) for _ in range(3)]
    for worker in workers:
        worker.route_of("t", "canary", 0.0)
    workers[0].answered("t", Conversation("canary", "a"), attempt("b"), 1.0)
    workers[1].answered("t", Conversation("canary", "a"), attempt("c"), 1.0)
    for pin, route in others.told:
        assert "canary" not in pin
        for receive in others.hears:
            receive(pin, route, 1.0 + LIFETIME)
    assert {worker.route_of("t", "canary", 2.0) for worker in workers} == {"c"}
    assert workers[2].route_of("t", "canary", 1.0 + LIFETIME) is None
    assert Conversations(b"another")._digest("t", "canary") != others.told[0][0]


@given(st.text(min_size=1, max_size=20), st.permutations(["a", "b", "c", "d"]))
def test_a_route_that_goes_moves_only_its_own_conversations(name: str, routes: list[str]) -> None:
    """Rendezvous hashing: the order of those that stay is as it was, in every process."""
    picks = subject_picks(name, None)
    order = sorted(routes, key=picks)
    assert sorted([route for route in routes if route != order[0]], key=picks) == order[1:]


def test_the_cache_share_of_a_route_is_measured() -> None:
    """From twenty answers on, of those whose tokens were counted."""
    made = Conversations()
    for _ in range(19):
        made.answered("t", None, attempt("a", 1000, 800), 0.0)
    assert made.cache_share("a") == 0.0
    made.answered("t", None, attempt("a", 1000, 800), 0.0)
    assert made.cache_share("a") == pytest.approx(0.8)
    for _ in range(200):
        made.answered("t", None, attempt("a", 1000, None), 0.0)
    assert made.cache_share("a") < 0.01


def figures(*, affinity: bool, flapping: float, seed: int) -> float:
    """The share of the input that comes from a cache: 200 conversations of 8 turns, on two routes of one weight, of
    which the first fails a share of the attempts."""
    draw = random.Random(seed)
    made = Conversations()
    seen: dict[tuple[str, int], int] = {}
    told = cached = 0
    turns = [(draw.uniform(0, 3600) + 120 * turn, number, turn) for number in range(200) for turn in range(8)]
    for now, number, turn in sorted(turns):
        name = f"conversation-{number}"
        found = (candidate("a"), candidate("b"))
        picks = subject_picks(name, None) if affinity else (lambda route: draw.random())
        found = tuple(sorted(found, key=lambda each: picks(each.route)))
        if affinity:
            found = pinned_first(found, made.route_of("t", name, now), None)
        route = found[0].route
        if route == "a" and draw.random() < flapping:
            route = "b"
        size = 2000 + 500 * turn
        told += size
        cached += min(size, seen.get((route, number), 0))
        seen[route, number] = size
        made.answered("t", Conversation(name), attempt(route), now)
    return cached / told


@pytest.mark.parametrize("flapping", [0.0, 0.2])
def test_affinity_pays_a_prompt_once(flapping: float) -> None:
    """The cached share with affinity is nearly that of one route alone; without it, less."""
    entry = [figures(affinity=True, flapping=flapping, seed=seed) for seed in range(10)]
    drawn = [figures(affinity=False, flapping=flapping, seed=seed) for seed in range(10)]
    price = [1 - 0.9 * sum(each) / len(each) for each in (entry, drawn)]
    print(
        f"flapping {flapping:.0%}: cached share {sum(entry) / 10:.0%} with affinity, {sum(drawn) / 10:.0%} without; "
        f"input at a tenth of the price for cached tokens {price[0]:.2f} and {price[1]:.2f} of the full price"
    )
    assert min(entry) > max(drawn) + 0.04
    assert price[0] < 0.9 * price[1]
