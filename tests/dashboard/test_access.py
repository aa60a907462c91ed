"""Who gets what: nobody without ``allow``, no form of another site, no name that any site could have, no other path."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

import httpx2
import pytest

from dashboard.stage import MOUNTS, Stage, Visitor, boss_alone, is_staff, mounted, visiting
from flask_lanewise import Lanewise, dashboard_blueprint
from lanewise import Router
from lanewise.web import Dashboard

PAGES = ("", "calls", "calls/01a203e9-aa42-7b3a-bc28-000000000001", "reviews", "reviews/x", "by-hand")
FILES = ("static/dashboard.css", "static/dashboard.js", "static/htmx.min.js", "static/uplot.min.js", "static/icon.svg")
NOWHERE = "not-a-page"


@pytest.fixture
def nobody(page: str) -> Any:
    """Somebody whom the app does not know."""
    with visiting(page, {}) as visitor:
        yield visitor


# -- allow -------------------------------------------------------------------------------------------------------------


def test_a_page_without_allow_is_not_made(stage: Stage) -> None:
    """Whoever forgets it is told at once, in both frameworks."""
    router = Router.from_mapping(stage.config())
    for given in ({}, {"allow": None}, {"allow": True}):
        with pytest.raises(TypeError, match="allow"):
            Dashboard(router, **given)
        with pytest.raises(TypeError, match="allow"):
            dashboard_blueprint(Lanewise(), **given)
    with pytest.raises(TypeError, match="may_review"):
        Dashboard(router, allow=is_staff, may_review="ann")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Router"):
        Dashboard("lanewise.toml", allow=is_staff)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", [*PAGES, *FILES, NOWHERE, "static/../dashboard_core.py"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
def test_nobody_gets_anything_who_is_not_allowed(nobody: Visitor, path: str, method: str) -> None:
    """Whatever there is, or is not: a 403, which tells nothing of it."""
    answer = nobody.http.request(method, path)
    assert answer.status_code == 403
    assert "chat" not in answer.text


def test_allow_may_be_async(stage: Stage) -> None:
    """Its answer is waited for: a coroutine is no yes."""

    async def later(request: Any) -> bool:
        await asyncio.sleep(0)
        return is_staff(request)

    for mount in MOUNTS:
        page = mounted(mount, Router.from_mapping(stage.config()), allow=later)
        with page as url, visiting(url) as staff, visiting(url, {}) as nobody:
            assert (staff.get().status_code, nobody.get().status_code) == (200, 403)


class Refusal:
    """An answer as frameworks have them."""

    status_code = 302


@pytest.mark.parametrize("answer", [("no", 403), Refusal(), PermissionError("no")], ids=["tuple", "response", "error"])
def test_an_answer_for_the_caller_is_no_yes(answer: object, stage: Stage) -> None:
    """What a view would return, or raise, is an error of the app where it is asked who may look: nobody is let in."""
    for mount in MOUNTS:
        page = mounted(mount, Router.from_mapping(stage.config()), allow=lambda request: answer)
        with page as url, visiting(url) as staff:
            assert staff.get().status_code == 500


@pytest.mark.parametrize(
    "place", ["https:evil.example", "javascript:alert(1)", "caf\xe9", "a\r\nSet-Cookie: x=y", "%2e%2e"]
)
def test_a_place_that_the_caller_chose_leads_nowhere_else(place: str, stage: Stage) -> None:
    """An app may mount the page below a parameter: where it is sent to is still below that, whatever it says."""
    sent: list[Any] = []
    page = Dashboard(Router.from_mapping(stage.config()), allow=lambda request: True)
    raw = ("/" + quote(place, safe="")).encode()
    scope = {"type": "http", "method": "GET", "path": f"/{place}", "raw_path": raw, "root_path": f"/{place}"}
    rest = {"query_string": b"", "headers": [(b"host", b"localhost")], "scheme": "http", "client": None, "server": None}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(page({**scope, **rest}, lambda: asyncio.sleep(0, {"type": "http.disconnect"}), send))
    assert sent[0]["status"] == 307
    assert dict(sent[0]["headers"])[b"location"] == f"./{quote(place, safe='')}/".encode()


def test_a_coroutine_that_nobody_waits_for_is_no_yes(stage: Stage) -> None:
    """In Flask a plain function that gives one is an error of the app, and lets nobody in."""

    async def later() -> bool:
        return False

    page = mounted("flask", Router.from_mapping(stage.config()), allow=lambda request: later())
    with page as url, visiting(url) as staff:
        assert staff.get().status_code == 500


def test_who_may_look_may_do_nothing_else(staff: Visitor) -> None:
    """Without may_review's and may_operate's yes there are no cases, no forms and no links to them."""
    text = staff.text()
    assert "Reviews" not in text
    assert "By hand" not in text
    assert staff.get("reviews").status_code == 403
    assert staff.get("reviews/01a203e9").status_code == 403
    assert staff.get("by-hand").status_code == 403
    assert staff.post("by-hand", route="flagship", action="open", reason="x").status_code == 403
    assert staff.post("reviews/01a203e9", decision="reject").status_code == 403


def test_a_name_that_is_none_is_an_error(stage: Stage) -> None:
    """A plain yes names nobody: what is kept with a decision is who made it."""
    page = mounted("flask", Router.from_mapping(stage.config()), may_operate=lambda request: True)
    with page as url, visiting(url) as staff:
        assert staff.get("by-hand").status_code == 500


# -- headers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "calls", "by-hand", NOWHERE, "static/dashboard.js"])
def test_every_answer_is_kept_to_itself(boss: Visitor, path: str) -> None:
    """No script but the page's files, no frame, no copy, no other site."""
    answer = boss.get(path, origin="https://evil.example")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "PATCH", "DELETE"])
def test_no_other_method_is_answered(boss: Visitor, method: str) -> None:
    """Preflights least of all."""
    answer = boss.http.request(method, "", headers={"origin": "https://evil.example"})
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize("path", ["", "calls", "by-hand", "reviews"])
def test_no_page_has_scripts_or_styles_in_it(boss: Visitor, path: str) -> None:
    """They would not run: all of them are files, and no attribute has any."""
    text = boss.get(path).text
    assert "<style" not in text
    assert " style=" not in text
    assert " onclick" not in text
    assert "javascript:" not in text
    assert text.count("<script ") == text.count("<script src=")
    assert "http://" not in text.replace("http://www.w3.org", "")


# -- forms of other sites ----------------------------------------------------------------------------------------------


def _changes_nothing(boss: Visitor, answer: httpx2.Response) -> None:
    assert answer.status_code in (400, 403, 413, 415), answer.status_code
    assert "open by hand" not in boss.text("by-hand")


FORM = {"route": "spare", "action": "open", "reason": "an attack"}


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
        {"origin": "https://evil.example", "sec-fetch-site": ""},
        {"origin": "null", "sec-fetch-site": ""},
        {"origin": "", "sec-fetch-site": "cross-site"},
        {"origin": "", "sec-fetch-site": "same-site"},
        {"origin": "http://127.0.0.1:1", "sec-fetch-site": ""},
        {"origin": "http://127.0.0.1.evil.example", "sec-fetch-site": ""},
        {"origin": "http://evil.example@127.0.0.1", "sec-fetch-site": ""},
        {"origin": "file://", "sec-fetch-site": ""},
        {"content-type": "text/plain"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/json"},
    ],
    ids=str,
)
def test_a_form_of_another_site_changes_nothing(boss: Visitor, headers: dict[str, str]) -> None:
    """Even with the right token and cookie."""
    token = boss.token("by-hand")
    _changes_nothing(boss, boss.post("by-hand", headers=headers, csrf=token, **FORM))


@pytest.mark.parametrize("token", [None, "", "x", "A" * 43, "the other's"])
def test_a_form_without_its_token_changes_nothing(boss: Visitor, page: str, token: str | None) -> None:
    """One that is missing, guessed, or of another browser."""
    boss.get("by-hand")
    if token == "the other's":
        with visiting(page, {"x-user": "boss"}) as other:
            token = other.token("by-hand")
    fields = FORM if token is None else {**FORM, "csrf": token}
    _changes_nothing(boss, boss.post("by-hand", **fields))


def test_a_token_without_its_cookie_changes_nothing(boss: Visitor) -> None:
    """As a page of another site would send it, which the cookie does not follow."""
    token = boss.token("by-hand")
    boss.http.cookies.clear()
    _changes_nothing(boss, boss.post("by-hand", csrf=token, **FORM))


def test_the_cookie_is_kept_from_scripts_and_other_sites(boss: Visitor) -> None:
    """And there is none for who can send no form."""
    cookie = boss.get("by-hand").headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie


def test_who_can_send_no_form_gets_no_cookie(staff: Visitor) -> None:
    """A page that is only looked at leaves nothing behind."""
    assert "set-cookie" not in staff.get().headers


def test_nothing_is_changed_by_a_get(boss: Visitor) -> None:
    """Not with everything that a form has, and right."""
    token = boss.token("by-hand")
    answer = boss.http.get("by-hand", params={**FORM, "csrf": token})
    assert answer.status_code == 200
    assert "open by hand" not in boss.text("by-hand")


def test_a_form_without_an_end_is_not_read(boss: Visitor) -> None:
    """More than a person writes is refused."""
    token = boss.token("by-hand")
    _changes_nothing(boss, boss.post("by-hand", csrf=token, **{**FORM, "reason": "x" * 1_100_000}))


# -- names of this machine ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "a b",
        "[::1",
        "x@127.0.0.1",
    ],
)
def test_a_name_that_any_site_could_have_shows_nothing(boss: Visitor, host: str) -> None:
    """By DNS rebinding a page of another site reads what an address of this machine answers: its Host gives it away."""
    for path in ("", "calls", "static/dashboard.js"):
        assert boss.get(path, host=host).status_code in (400, 403)
    token = boss.token("by-hand")
    answer = boss.post("by-hand", headers={"host": host, "origin": f"http://{host}"}, csrf=token, **FORM)
    _changes_nothing(boss, answer)


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:9", "[::1]:9", "app.localhost"])
def test_names_of_this_machine_are_taken(boss: Visitor, host: str) -> None:
    """However its browser is told to reach it."""
    assert boss.get(host=host).status_code == 200


def test_an_app_may_name_its_hosts(stage: Stage) -> None:
    """Then there are no others, and those are taken over the loopback too, where a proxy is."""
    for mount in MOUNTS:
        page = mounted(mount, Router.from_mapping(stage.config()), hosts=["shop.example"])
        with page as url, visiting(url) as staff:
            told = [staff.get(host=host).status_code for host in ("shop.example", "SHOP.example:443", "localhost")]
        assert told == [200, 200, 403]
    with pytest.raises(TypeError, match="hosts"):
        Dashboard(Router.from_mapping(stage.config()), allow=is_staff, hosts="shop.example")
    with pytest.raises(ValueError, match="http"):
        Dashboard(Router.from_mapping(stage.config()), allow=is_staff, hosts=["http://shop.example"])


# -- paths -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/static/../dashboard_core.py",
        "/static/%2e%2e/dashboard_core.py",
        "/static/..%2fdashboard_core.py",
        "/static//etc/passwd",
        "/static/",
        "/static/htmx.LICENSE%00.js",
        "/static/dashboard.js/",
        "/templates/base.html",
        "/calls/",
        "/calls/a/b",
        "/calls/%3Cscript%3E",
        "/calls/" + "a" * 300,
        "//calls",
        "/CALLS",
        "/now",
    ],
)
def test_no_other_path_leads_anywhere(page: str, path: str) -> None:
    """Nothing is looked up by a path but what is listed."""
    with httpx2.Client(headers={"x-user": "boss"}, trust_env=False) as client:
        answer = client.send(client.build_request("GET", page + path))
    assert answer.status_code in (307, 308, 404)
    assert "import annotations" not in answer.text
    assert "{% block" not in answer.text


def test_a_page_without_its_slash_is_sent_there(page: str) -> None:
    """Links go from where the page is: it has to be told where that is."""
    with httpx2.Client(headers={"x-user": "staff"}, trust_env=False, follow_redirects=True) as client:
        answer = client.get(page)
    assert answer.status_code == 200
    assert str(answer.url) == f"{page}/"


@pytest.mark.parametrize(
    "query",
    [
        "task=" + "x" * 2000,
        "since=yesterday",
        "since=0001-01-01T00:00%2B23:00",
        "until=9999-99-99",
        "older_at=2026-11-30T00:00&older_id=" + "x" * 2000,
        "older_at=x&older_id=y",
        "&".join(f"a{number}=1" for number in range(200)),
        "task=%FF%FE",
        "label=%00",
        "request=%00",
    ],
)
def test_what_cannot_be_asked_is_refused(staff: Visitor, query: str) -> None:
    """With a word, and without a trace of it."""
    answer = staff.get(f"calls?{query}")
    assert answer.status_code in (200, 400)
    assert "Traceback" not in answer.text


def test_only_the_name_of_who_decides_is_given(boss: Visitor) -> None:
    """The page knows its visitor by what the app answered."""
    assert "the boss" in boss.text("by-hand")
    assert boss_alone.__name__ not in boss.text("by-hand")
