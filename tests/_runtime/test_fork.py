"""Forks, spawned processes and the interpreter's end, each in a program of its own."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from _runtime.setting import output, script
from lanewise.testing import Answer, FakeProvider, Silence, StreamOf

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="forks and signals"),
    pytest.mark.timeout(200),  # programs of their own, each of which has to import all
]

ASKS = """
def ask(router):
    with router.scope() as scope:
        return scope.openai.chat.completions.create(model="t", messages=MESSAGES).choices[0].message.content

async def ask_async(router):
    with router.scope() as scope:
        reply = await scope.async_openai.chat.completions.create(model="t", messages=MESSAGES)
        return reply.choices[0].message.content

def stream(router):
    with router.scope() as scope:
        chunks = scope.openai.chat.completions.create(model="t", messages=MESSAGES, stream=True)
        return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
"""


def run(text: str, provider: FakeProvider) -> list[str]:
    return output(script(ASKS + text, provider)).splitlines()


def test_parent_and_child_both_go_on_after_a_fork(provider: FakeProvider) -> None:
    """The parent's connections stay its own, also when the child has ended and collected all that it inherited."""
    lines = run(
        """
import gc, warnings
warnings.simplefilter("ignore")  # of forking beside threads
router = Router.from_mapping(CONFIG)

async def main():
    async with router:
        print("parent", ask(router), await ask_async(router), flush=True)
        for _ in range(3):
            pid = os.fork()
            if pid == 0:
                print("child", ask(router), stream(router), flush=True)
                gc.collect()
                os._exit(0)  # the loop, which runs, is the parent's
            assert os.waitpid(pid, 0)[1] == 0
            print("parent", ask(router), await ask_async(router), stream(router), flush=True)

asyncio.run(main())
""",
        provider,
    )
    assert lines.count("child Hello from gpt-a Hello from gpt-a") == 3
    assert lines.count("parent Hello from gpt-a Hello from gpt-a Hello from gpt-a") == 3


def test_a_forked_child_uses_loops_of_its_own(provider: FakeProvider) -> None:
    """As a prefork server does: the router was made, opened and used before the fork, and is used by both after."""
    lines = run(
        """
router = Router.from_mapping(CONFIG)
router.__enter__()
print("before", ask(router), asyncio.run(ask_async(router)), flush=True)
children = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        async def main():
            async with router:
                return await asyncio.gather(*(ask_async(router) for _ in range(5)))
        line = f"child {ask(router)} {asyncio.run(ask_async(router))} {set(asyncio.run(main()))}\\n"
        os.write(1, line.encode())  # in one piece: three children write
        router.__exit__(None, None, None)
        sys.exit(0)
    children.append(pid)
for _ in range(20):
    assert ask(router) == stream(router) == "Hello from gpt-a"
for pid in children:
    assert os.waitpid(pid, 0)[1] == 0
print("after", ask(router), stream(router), flush=True)
""",
        provider,
    )
    assert lines.count("child Hello from gpt-a Hello from gpt-a {'Hello from gpt-a'}") == 3
    assert lines[-1] == "after Hello from gpt-a Hello from gpt-a"


def test_a_forked_child_is_another_worker(provider: FakeProvider) -> None:
    """It holds none of the parent's probes, places or locks: whoever held one does not exist here."""
    lines = run(
        """
CONFIG["providers"] = {name: {**declared, "max_concurrency": 1} for name, declared in CONFIG["providers"].items()}
router = Router.from_mapping(CONFIG)
with router:
    ask(router)
    kit = router._engine.ready()
    worker, name = kit.health.worker, next(iter(kit.health.breakers))
    gates = list(kit.limiters.values())
    for gate in gates:
        assert asyncio.run(gate.enter(0, 0.0)) is not None
    with kit.health._lock:
        pid = os.fork()
        if pid == 0:
            kit.health.circuit(name)
            others = {breaker.worker for breaker in kit.health.breakers.values()}
            print(worker not in {kit.health.worker, *others}, ask(router), flush=True)
            os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert kit.health.worker == worker
""",
        provider,
    )
    assert lines == ["True Hello from gpt-a"]


def test_a_fork_does_not_disturb_what_runs_in_the_parent(provider: FakeProvider) -> None:
    """A call and a stream that are under way end well, though the child ends, and drops its copies of them."""
    provider.script("gpt-a", StreamOf(interval=0.1), StreamOf(first_token_delay=0.5))
    lines = run(
        """
router = Router.from_mapping(CONFIG)
scope = router.scope()
chunks = iter(scope.openai.chat.completions.create(model="t", messages=MESSAGES, stream=True))
first = next(chunks)
got = []
thread = threading.Thread(target=lambda: got.append(stream(router)))
thread.start()
time.sleep(0.1)
pid = os.fork()
if pid == 0:
    import gc
    del chunks, first
    gc.collect()
    sys.exit(0)
assert os.waitpid(pid, 0)[1] == 0
print(len([chunk for chunk in chunks]))
thread.join()
print(got)
""",
        provider,
    )
    assert int(lines[0]) >= 3
    assert lines[1] == "['Hello from the stream']"


def test_a_forked_child_does_not_hold_the_parents_connections_open(provider: FakeProvider) -> None:
    """When the parent closes one, the provider hears of it, though the child lives on."""
    running = script(
        ASKS
        + """
router = Router.from_mapping(CONFIG)
with router:
    ask(router)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
print("closed", flush=True)
sys.stdin.read()
os.write(write, b"x")
os.waitpid(pid, 0)
""",
        provider,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "closed\n"
    provider.wait_until(lambda: provider.open_connections == 0)
    output(running)


def test_spawned_processes_have_routers_of_their_own(provider: FakeProvider) -> None:
    """By multiprocessing's ``spawn``, beside one in the parent that is in use."""
    lines = run(
        """
import subprocess
router = Router.from_mapping(CONFIG)
print(ask(router))
program = (
    "import os, sys\\nfrom lanewise import Router\\n"
    f"router = Router.from_mapping({CONFIG!r})\\n"
    "with router, router.scope() as scope:\\n"
    "    print(scope.openai.chat.completions.create(model='t', messages=[]).choices[0].message.content)\\n"
)
for _ in range(2):
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    print(done.stdout.strip(), done.stderr.strip())
print(ask(router))
""",
        provider,
    )
    assert [line.strip() for line in lines] == ["Hello from gpt-a"] * 4


USES = (
    "ask(router)",
    "asyncio.run(ask_async(router))",
    "router.__enter__(); ask(router); stream(router)",
    "asyncio.run(open_and_ask(router))",
    "chunks = open_stream(router); next(iter(chunks))",
    "threading.Thread(target=ask, args=(router,), daemon=True).start(); time.sleep(0.1)",
    "router = None; ask(Router.from_mapping(CONFIG)); gc.collect()",
)


def test_an_unclosed_router_does_not_hold_up_the_interpreters_end(provider: FakeProvider) -> None:
    """No hang, and not a word on stderr, whatever was used of it. In a child each: importing takes longest of all."""
    lines = run(
        f"""
import gc
async def open_and_ask(router):
    await router.__aenter__()
    await ask_async(router)
    ask(router)

def open_stream(router):
    return router.scope().openai.chat.completions.create(model="t", messages=[], stream=True)

with Router.from_mapping(CONFIG) as first:  # the SDK imports much at its first use
    ask(first)
    asyncio.run(ask_async(first))
for use in {USES!r}:
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        router = Router.from_mapping(CONFIG)
        exec(use)
        print(time.monotonic(), flush=True)
        sys.exit(0)
    print(os.waitpid(pid, 0)[1], time.monotonic())
""",
        provider,
    )
    assert len(lines) == 2 * len(USES)
    for ended, gone in zip(lines[::2], lines[1::2], strict=True):
        status, at = gone.split()
        assert status == "0"
        assert float(at) - float(ended) < 8.0  # a hang takes longer; a busy machine takes a second or two


def test_a_router_that_is_let_go_of_takes_its_thread_along(provider: FakeProvider) -> None:
    """The garbage collector ends the portal. (A connection that is kept holds the context of the call that made it.)"""
    provider.script_all(Answer(headers={"connection": "close"}))
    lines = run(
        """
import gc
for _ in range(5):
    ask(Router.from_mapping(CONFIG))
    gc.collect()
until = time.monotonic() + 20
while threading.active_count() > 1 and time.monotonic() < until:
    gc.collect()
    time.sleep(0.02)
print([thread.name for thread in threading.enumerate()])
""",
        provider,
    )
    assert lines == ["['MainThread']"]


@pytest.mark.parametrize("what", ["ask(router)", "stream(router)"], ids=["call", "stream"])
def test_ctrl_c_ends_a_synchronous_call(provider: FakeProvider, what: str) -> None:
    """In under a second, with KeyboardInterrupt, and the upstream exchange is closed."""
    provider.script_all(Silence() if what.startswith("ask") else StreamOf(stall_after=2))
    running = script(
        ASKS
        + f"""
CONFIG["tasks"]["t"]["deadline"] = "120s"
for route in CONFIG["routes"].values():
    route.update(timeout="60s", stall="60s")
router = Router.from_mapping(CONFIG)
try:
    {what}
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.stdin.read()
""",
        provider,
    )
    provider.wait_for(1)
    time.sleep(0.1)
    began = time.monotonic()
    os.kill(running.pid, signal.SIGINT)
    assert running.stdout is not None
    assert running.stdout.readline() == "interrupted\n"
    provider.wait_until(lambda: provider.open_connections == 0)
    output(running)
    assert time.monotonic() - began < 30


RECORDS = """
import logging
logging.basicConfig(level=logging.INFO, format="line %(process)d %(message)s", stream=sys.stdout)
def routed():
    router = Router.from_mapping(CONFIG)
    router.on_call(lambda call: os.write(1, f"hook {os.getpid()}\\n".encode()))  # in one piece: threads write
    return router
"""


def test_what_waits_is_written_at_the_interpreters_end(provider: FakeProvider) -> None:
    """Nobody closed the router, and one was let go of before: their calls are told all the same."""
    lines = run(
        RECORDS
        + """
def forgotten():
    ask(routed())

forgotten()
kept = routed()
ask(kept)
""",
        provider,
    )
    assert len([line for line in lines if line.startswith("hook")]) == 2
    assert len([line for line in lines if line.startswith("line") and "answered" in line]) == 2


def test_parent_and_child_each_tell_of_their_own_calls(provider: FakeProvider) -> None:
    """What waited when the process forked is the parent's alone."""
    lines = run(
        RECORDS
        + """
router = routed()
ask(router)
pid = os.fork()
if pid == 0:
    ask(router)
    ask(router)
    router._engine.close()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
print("pids", os.getpid(), pid, flush=True)
""",
        provider,
    )
    (pids,) = [line.split()[1:] for line in lines if line.startswith("pids")]
    told = [line.split()[1] for line in lines if line.startswith("hook")]
    assert sorted(told, key=pids.index) == [pids[0], pids[1], pids[1]]
