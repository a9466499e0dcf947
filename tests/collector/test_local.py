"""Who is served without any key: programs on this machine, no page, proxy or user beside them."""

from __future__ import annotations

import os
import shutil
import socket
import string
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from playwright.sync_api import Browser, sync_playwright

from collector.local import is_own_host
from scripts.lib.base.browser import FLAGS, chromium
from tests.support.api import answer, assert_problem, connected, event
from tests.support.collector import Collector, running_collector, wait_until

OWN = ["localhost", "LocalHost:3000", "127.0.0.1", "127.1.2.3:80", "[::1]", "[::1]:3000"]
FOREIGN = [
    "", ":80", "evil.example", "evil.example:80", "localhost.evil.example",
    "127.0.0.1.evil.example", "localhost@evil.example", "evil.example@localhost",
    "localhost evil.example", "localhost:80:80", "::1", "[::2]", "[::1", "192.168.0.1",
    "2130706433", "0x7f.1", "localhost/../evil",
]  # fmt: skip
PROXIED = [
    "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-New", "X-Real-IP",
    "Forwarded", "Via", "X-Client-IP", "True-Client-IP",
]  # fmt: skip
CLIENT = httpx.Client(timeout=30)
PLAIN = {"Content-Type": "text/plain"}
# What nginx's plain proxy_pass sends, and with what guides tell people to add.
PROXY_VARIANTS = {
    "plain": "",
    "HTTP/1.1": "proxy_http_version 1.1;",
    "kept alive": 'proxy_http_version 1.1; proxy_set_header Connection "";',
    "host": "proxy_http_version 1.1; proxy_set_header Host $host;",
    "localhost": "proxy_http_version 1.1; proxy_set_header Host localhost;",
    "real ip": "proxy_set_header Host $host; proxy_set_header X-Real-IP $remote_addr;",
    "forwarded": "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
}
AUTHORITIES = st.one_of(
    st.text(string.ascii_letters + string.digits + "-.:[]@/%# \\\t\x7f\xe9", max_size=30),
    st.builds("{}{}".format, st.sampled_from(OWN + FOREIGN), st.sampled_from(["", ":1", ".", "x"])),
    st.ip_addresses().map(lambda ip: f"[{ip}]" if ip.version == 6 else str(ip)),
)


@given(AUTHORITIES)
@example("localhost")
@example("[::ffff:127.0.0.1]:1")
def test_only_loopback_is_an_own_host(authority: str) -> None:
    """What is taken for an own host leads, read by another parser, to a loopback address."""
    if is_own_host(authority, ()):
        name = urlsplit(f"http://{authority}/").hostname or ""
        mapped = getattr(ip_address(name), "ipv4_mapped", None) if ":" in name else None
        assert name == "localhost" or (mapped or ip_address(name)).is_loopback
        assert not set(authority) & set("@/\\ \t#")
    else:
        assert authority.lower() not in {host.lower() for host in OWN}


def test_hosts_by_name() -> None:
    assert all(is_own_host(host, ()) for host in OWN)
    assert not any(is_own_host(host, ("other",)) for host in FOREIGN)
    assert is_own_host("Collect.example:443", ("collect.example",))
    assert is_own_host("evil.example", ("*",))


@pytest.fixture(scope="module", autouse=True)
def client_is_closed() -> Iterator[None]:
    """Leaves no connection of this module's client open."""
    with CLIENT:
        yield


@pytest.fixture(scope="module")
def keyless(create_database: Callable[..., AbstractContextManager[str]]) -> Iterator[Collector]:
    """A collector without keys that has further names, and a page that may send."""
    with (
        create_database() as url,
        running_collector(
            url, ALLOWED_HOSTS="devbox", CORS_ORIGINS="https://shop.example, *"
        ) as collector,
    ):
        yield collector


def statuses(url: str, headers: dict[str, str]) -> set[int]:
    """What the doors of a collector answer to requests with these headers."""
    bodies = {
        "/events": '{"eventType": "page_viewed", "userId": 1, "activity": {}}',
        "/v1/t": '{"event": "conversion", "userId": 1}',
        "/users": '{"userId": 1}',
    }
    posted = {
        CLIENT.post(url + path, content=body, headers=PLAIN | headers).status_code
        for path, body in bodies.items()
    }
    return posted | {CLIENT.get(f"{url}/users", headers=headers).status_code}


@pytest.mark.parametrize("headers", [
    *({"Host": host} for host in [*OWN, "devbox", "DevBox:3000"]),
    *({"Origin": origin} for origin in ("http://localhost:5173", "https://shop.example")),
    {"Origin": "http://127.0.0.1:5173", "Sec-Fetch-Site": "cross-site"},
    *({"Sec-Fetch-Site": site} for site in ("same-origin", "same-site", "none")),
])  # fmt: skip
def test_served(keyless: Collector, headers: dict[str, str]) -> None:
    assert statuses(keyless.url, headers) <= {200, 201}


@pytest.mark.parametrize("headers", [
    *({"Host": host} for host in FOREIGN),
    *({name: value} for name in PROXIED for value in ("203.0.113.9", "127.0.0.1", "")),
    *({"Origin": origin} for origin in (
        "null", "", "*", "https://evil.example", "http://localhost.evil.example", "file://",
        "https://shop.example.evil.example", "http://shop.example", "https://devbox@evil.example",
    )),
    {"Sec-Fetch-Site": "cross-site"},
])  # fmt: skip
def test_not_served(keyless: Collector, headers: dict[str, str]) -> None:
    assert statuses(keyless.url, headers) == {401}


def test_says_why(keyless: Collector) -> None:
    refused = httpx.get(f"{keyless.url}/users", headers={"Host": "evil.example"})
    problem = assert_problem(refused, 401, "no_key_configured")
    assert "scripts/keys create" in problem["detail"]
    assert "ALLOWED_HOSTS" in problem["detail"]


@pytest.mark.parametrize("head", [
    "GET /users HTTP/1.0\r\nHost: localhost",
    "GET /users HTTP/1.1\r\nX: y",
    "GET /users HTTP/1.1\r\nHost: localhost\r\nHost: localhost",
    "GET /users HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nOrigin: null",
])  # fmt: skip
def test_heads_of_no_program_of_this_machine(keyless: Collector, head: str) -> None:
    with connected(keyless) as connection:
        connection.sendall(f"{head}\r\nConnection: close\r\n\r\n".encode())
        assert answer(connection) == (401, "no_key_configured")


def test_other_users_of_this_machine(keyless: Collector) -> None:
    if os.geteuid() != 0 or sys.platform != "linux":
        pytest.skip("needs root, to be another user")
    ask = f"import urllib.request as r; r.urlopen('{keyless.url}/users')"
    for user, expected in ((None, b""), (65534, b"HTTP Error 401")):
        asked = subprocess.run(
            ["/usr/bin/env", "python3", "-c", ask],
            user=user, cwd="/", check=False, capture_output=True,
        )  # fmt: skip
        assert expected in asked.stderr
        assert bool(asked.returncode) == bool(expected)


@contextmanager
def nginx(collector: Collector, directives: str) -> Iterator[str]:
    """Runs nginx in front of a collector, as Debian's configuration does; yields its URL."""
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
        free.close()
        file = Path(folder, "nginx.conf")
        file.write_text(
            f"daemon off; pid {folder}/pid; error_log {folder}/log; worker_processes 1;"
            f"{'user www-data;' if os.geteuid() == 0 else ''} events {{}}"
            f"http {{ access_log off; client_body_temp_path {folder}/body;"
            f"server {{ listen 127.0.0.1:{port};"
            f"location / {{ proxy_pass {collector.url}; {directives} }} }} }}"
        )
        with subprocess.Popen(["nginx", "-e", f"{folder}/log", "-c", file]) as process:
            try:
                wait_until(lambda: httpx.get(f"http://127.0.0.1:{port}/healthz").status_code == 200)
                yield f"http://127.0.0.1:{port}"
            finally:
                process.terminate()


@pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")
@pytest.mark.parametrize("variant", PROXY_VARIANTS)
def test_nothing_comes_through_nginx(keyless: Collector, variant: str) -> None:
    if os.geteuid() != 0 and "1.1" in PROXY_VARIANTS[variant] and variant != "host":
        pytest.skip("a proxy run by the collector's own user cannot be told: docs/operations.md")
    with nginx(keyless, PROXY_VARIANTS[variant]) as url:
        assert statuses(url, {"Host": "collect.example"}) == {401}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium for which names under `.example` lead to this machine, as rebound ones do."""
    if not (path := chromium()):
        pytest.skip("no Chromium here")
    rules = "--host-resolver-rules=MAP *.example 127.0.0.1"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*FLAGS, rules])
        yield browser
        browser.close()


def test_page_elsewhere_neither_sends_nor_reads(
    browser: Browser, collector: Collector, folder_url: str
) -> None:
    """A page posts by fetch, beacon and form, and reads by fetch and a rebound name."""
    port = urlsplit(collector.url).port
    page = browser.new_page()
    # From this machine, since a newer Chromium by itself keeps pages from elsewhere off it.
    page.goto(folder_url.replace("127.0.0.1", "devbox.example"))
    body = '{"eventType": "page_viewed", "userId": 1, "activity": {"a": "="}}'
    page.evaluate(
        """async ([url, body]) => {
            await fetch(url + '/events', {method: 'POST', mode: 'no-cors', body})
            await fetch(url + '/users', {method: 'POST', mode: 'no-cors', body: '{"userId": 1}'})
            navigator.sendBeacon(url + '/events', body)
            await new Promise(done => {
                const image = new Image()
                image.onerror = done
                image.src = url + '/users'
            })
        }""",
        [collector.url, body],
    )
    page.set_content(
        f"<form method=post enctype=text/plain action='{collector.url}/events'>"
        f"<input name='{body.split('=', maxsplit=1)[0]}' value='{body.split('=')[1]}'></form>"
    )
    with page.expect_navigation():
        page.evaluate("document.forms[0].submit()")
    assert "no_key_configured" in page.content()
    # The page's own name leads to the collector now: it is of the same origin and reads all.
    page.goto(f"http://rebound.example:{port}/healthz")
    read = page.evaluate("fetch('/users').then(answer => answer.text())")
    assert "no_key_configured" in read
    assert collector.query("select count(*) from raw.events") == [(0,)]
    assert collector.query("select count(*) from raw.users") == [(0,)]
    page.close()
    assert httpx.post(f"{collector.url}/events", json=event()).status_code == 200


@pytest.fixture(scope="module")
def folder_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A folder as `scripts/site --serve` and `scripts/docs` serve it."""
    folder = tmp_path_factory.mktemp("static")
    (folder / "index.html").write_text("first")
    (folder / "docs").mkdir()
    (folder / "docs" / "index.html").write_text("docs")
    (folder / "assets").mkdir()
    (folder / "assets" / "a.js").write_text("a")
    (folder / "out").symlink_to("/etc/passwd")
    (folder / "etc").symlink_to("/etc")
    (folder / "loop").symlink_to("loop")
    code = (
        "import sys; from pathlib import Path; from scripts.lib.base.static import serve_folder;"
        "serve_folder(Path(sys.argv[1]), 0, 'It', ['127.0.0.1', 'devbox.example'])"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, folder],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout
        yield process.stdout.readline().split()[2].rstrip(".")
        process.terminate()
        _, errors = process.communicate()
    assert errors == ""


@pytest.mark.parametrize(("path", "status"), [
    ("/", 200), ("/index.html", 200), ("/docs/", 200), ("/assets/a.js", 200), ("/assets/", 404),
    ("/assets", 404), ("/out", 404), ("/etc/passwd", 404), ("/loop", 404), ("/%00", 404),
    ("/a%00b", 404), ("/%ff", 404), ("/..%2f..%2f..%2fetc/passwd", 404), ("//etc/passwd", 404),
    ("/" + "x" * 300, 404),
])  # fmt: skip
def test_folder(folder_url: str, path: str, status: int) -> None:
    answer = httpx.get(folder_url + path)
    assert answer.status_code == status
    assert "Traceback" not in answer.text


def test_folder_is_for_this_machine(folder_url: str) -> None:
    def status(host: str) -> int:
        return httpx.get(folder_url, headers={"Host": host}).status_code

    assert [status(host) for host in [*OWN, "devbox.example"]] == [200] * 7
    assert [status(host) for host in FOREIGN if host.isascii()] == [403] * len(FOREIGN)
