"""Who is served while no key was ever made: programs on this machine, and nobody through them.

A page in a browser on this machine and a proxy on it have its address too. What tells them apart
is in `stranger`.
"""

from __future__ import annotations

import os
import re
import socket
import struct
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from starlette.requests import Request

# RFC 7239, RFC 9110 section 7.6.3, and what proxies send without a standard.
_BY_PROXIES = {b"forwarded", b"via", b"x-real-ip", b"x-client-ip", b"true-client-ip"}
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:@/\\\s]+)(?::\d{1,5})?", re.IGNORECASE)
_ORIGIN = re.compile(r"https?://([^/]+)", re.IGNORECASE)
_SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, _NETLINK_INET_DIAG = 20, 1, 4  # linux/sock_diag.h, netlink.h
_ANY_STATE, _NO_COOKIE = 0xFFFFFFFF, b"\xff" * 8  # linux/inet_diag.h


def stranger(request: Request, hosts: tuple[str, ...], origins: tuple[str, ...]) -> str:
    """What shows that a request is not this machine's own; an empty text where it is.

    `hosts` are further names that this machine may be called by, or `*`; `origins` are those of
    pages that may send, where `*` stands for none: whoever opens a page has not chosen it.
    """
    scope = request.scope
    if not (scope["client"] and _is_loopback(scope["client"][0])):
        return "comes from another machine"
    if scope["http_version"] == "1.0":  # nginx up to 1.29.6 unless told otherwise
        return "is HTTP/1.0, as from a proxy"
    named: list[str] = []
    pages: list[str] = []
    is_cross_site = False
    for name, value in scope["headers"]:
        if name == b"host":
            named.append(value.decode("latin-1"))
        elif name == b"origin":
            pages.append(value.decode("latin-1"))
        elif name in _BY_PROXIES or name.startswith(b"x-forwarded-"):
            return "came through a proxy"
        elif name == b"sec-fetch-site":
            is_cross_site |= value == b"cross-site"
    if len(named) != 1 or not is_own_host(named[0], hosts):
        return "names a host that is not in ALLOWED_HOSTS"
    own_pages = all(
        (page in origins and page != "*") or _is_own_origin(page, hosts) for page in pages
    )
    # Browsers leave Origin out where a page loads a script or image.
    if not own_pages or (is_cross_site and not pages):
        return "comes from a page that is not in CORS_ORIGINS"
    return "" if _is_own_user(scope) else "comes from a program of another user"


@lru_cache(1024)
def is_own_host(authority: str, hosts: tuple[str, ...]) -> bool:
    """Whether the value of a `Host` field names this machine: by loopback, or one of `hosts`.

    A page whose name an attacker makes resolve to this machine (DNS rebinding) has its own there.
    """
    match = _AUTHORITY.fullmatch(authority)
    if not match:
        return False
    host = match[1].lower()
    return "*" in hosts or host in hosts or host == "localhost" or _is_loopback(host.strip("[]"))


def _is_own_origin(origin: str, hosts: tuple[str, ...]) -> bool:
    match = _ORIGIN.fullmatch(origin)
    return match is not None and is_own_host(match[1], tuple(each for each in hosts if each != "*"))


@lru_cache(1024)
def _is_loopback(address: str) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return (getattr(parsed, "ipv4_mapped", None) or parsed).is_loopback


def _is_own_user(scope: MutableMapping[str, Any]) -> bool:
    """Whether the client runs as the user that the collector runs as; True where none can say.

    A proxy of the machine has a user of its own (nginx's workers: www-data or nobody).
    """
    connection = scope.setdefault("headwater.connection", {})
    if "own_user" not in connection:
        client, server = scope["client"], scope["server"]
        owner = _owner(client, server)
        # This end is there for sure: where it is not found, nothing would be.
        unknown = owner is None and _owner(server, client) is None
        connection["own_user"] = unknown or owner == os.geteuid()
    return bool(connection["own_user"])


def _owner(local: tuple[str, int], remote: tuple[str, int]) -> int | None:
    """The user whose process has the socket from `local` to `remote` open; None without one.

    Asks Linux (sock_diag(7)); None elsewhere.
    """
    if sys.platform != "linux":
        return None
    ends = []
    for host, port in (local, remote):
        address = ip_address(host)
        address = getattr(address, "ipv4_mapped", None) or address
        ends.append((address, struct.pack("!H", port)))
    family = socket.AF_INET if ends[0][0].version == 4 else socket.AF_INET6
    ports = b"".join(port for _, port in ends)
    addresses = b"".join(address.packed.ljust(16, b"\0") for address, _ in ends)
    wanted = struct.pack("=BBBxI", family, socket.IPPROTO_TCP, 0, _ANY_STATE)
    wanted += ports + addresses + struct.pack("=I", 0) + _NO_COOKIE
    header = struct.pack("=IHHII", 16 + len(wanted), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0)
    with (
        suppress(OSError),
        socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_INET_DIAG) as kernel,
    ):
        kernel.settimeout(1)
        kernel.send(header + wanted)
        answer = kernel.recv(4096)
        if struct.unpack_from("=H", answer, 4) == (_SOCK_DIAG_BY_FAMILY,):
            owner, inode = struct.unpack_from("=II", answer, 16 + 64)
            return int(owner) if inode else None  # 0: no process has it any more
    return None
