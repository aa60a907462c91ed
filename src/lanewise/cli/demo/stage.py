"""The scenario: two fake providers, the config that declares them, and what goes wrong in each phase."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from lanewise.testing import Answer, Behaviour, Cycle, FakeProvider, Received, RequestQuota, Silence, SlowHeaders

__all__ = ["PHASES", "PLAIN_KEY", "ROUTED_KEY", "Phase", "Stage"]

ROUTED_KEY = "key-of-the-routed-app"
PLAIN_KEY = "key-of-the-plain-app"
"""Each app has an account of its own, so that neither uses up the other's quota."""

FLAGSHIP, SONNET, MINI = "gpt-5.5", "claude-sonnet-4-6", "gpt-5.5-mini"


def _answers(*delays: float) -> Cycle:
    return Cycle(tuple(Answer("The customer wants a refund.", delay=delay) for delay in delays))


FLAGSHIP_ANSWERS = _answers(0.14, 0.19, 0.16, 0.24, 0.15, 0.18, 0.31, 0.17)
SONNET_ANSWERS = _answers(0.21, 0.26, 0.23, 0.35, 0.22)
MINI_ANSWERS = _answers(0.08, 0.11, 0.09)
SLOW_ANSWERS = Cycle((SlowHeaders(5), SlowHeaders(5), Silence()))


class Stage:
    """The two providers, in a thread each: what they do is next to nothing, and both apps get it from the same."""

    def __init__(self) -> None:
        self.main = FakeProvider(journal_limit=100)
        self.spare = FakeProvider(journal_limit=100)

    def start(self) -> None:
        """Start both providers; they answer.

        Raises:
            OSError: one can't listen.
        """
        self.main.start()
        try:
            self.spare.start()
        except OSError:
            self.main.stop()
            raise
        self.be_well()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.main.stop()
        self.spare.stop()

    def config_text(self) -> str:
        """The routed app's config."""
        return f"""\
[router]
ledger = "sqlite:///ledger.db"    # what happened, for good
[router.health]
break_duration     = "1s"  # a route that fails is left alone so long (10s)
max_break_duration = "2s"  # and at the most, where it goes on failing (30s)
[providers]
main  = {{ base_url = "{self.main.base_url}", api_key_env = "MAIN_KEY" }}
spare = {{ base_url = "{self.spare.base_url}", api_key_env = "SPARE_KEY" }}
[routes]
flagship = {{ provider = "main",  model = "{FLAGSHIP}", timeout = "1.5s" }}
sonnet   = {{ provider = "spare", model = "{SONNET}", timeout = "3s" }}
mini     = {{ provider = "spare", model = "{MINI}", timeout = "3s" }}
[tasks.ticket-summary]
primary    = "flagship"
equivalent = "sonnet"    # as good
degraded   = "mini"      # worse, and better than no answer
deadline   = "10s"       # for all attempts and waits together
patience   = "500ms"     # the longest wait for a route that is rate limited
"""

    def be_well(self) -> None:
        """Both providers answer."""
        self.main.resume()
        self.main.script_all(FLAGSHIP_ANSWERS)
        self.spare.script_all(SONNET_ANSWERS)
        self.spare.script(MINI, MINI_ANSWERS)

    def limit_rate(self) -> None:
        """The main provider refuses what is over a quota, account by account."""
        self.main.script_all(_by_account(lambda: RequestQuota(9, window=3, then=FLAGSHIP_ANSWERS)))

    def slow_down(self) -> None:
        """The main provider takes far too long, or for ever."""
        self.main.script_all(SLOW_ANSWERS)

    def go_down(self) -> None:
        """The main provider is gone, and everybody wants the good model of the spare one."""
        self.main.pause()
        self.spare.script_all(RequestQuota(8, window=1, then=SONNET_ANSWERS))


def _by_account(quota: Callable[[], RequestQuota]) -> Callable[[Received], Behaviour]:
    quotas: dict[str, RequestQuota] = {}

    def of(received: Received) -> Behaviour:
        return quotas.setdefault(received.headers["authorization"], quota())

    return of


@dataclass(frozen=True)
class Phase:
    """A part of the show: its share of the whole time, its caption, and what happens at its start."""

    name: str
    share: float
    caption: str
    begin: Callable[[Stage], None]


PHASES = (
    Phase("healthy", 0.14, "The main provider is well.", Stage.be_well),
    Phase(
        "rate limited",
        0.22,
        "The main provider takes 3 requests/s of each app, and refuses the rest: 429 with Retry-After.",
        Stage.limit_rate,
    ),
    Phase(
        "slow",
        0.25,
        "The main provider takes 5 s for an answer, and every third never comes. The first routed requests wait out "
        "1.5 s, then switch; by then the circuit breaker is open, and the others switch at once.",
        Stage.slow_down,
    ),
    Phase(
        "down",
        0.21,
        "The main provider refuses connections, and the crowd that moves away from it fills the quota of the spare "
        "provider's good model.",
        Stage.go_down,
    ),
    Phase("back", 0.18, "The main provider is well again.", Stage.be_well),
)
