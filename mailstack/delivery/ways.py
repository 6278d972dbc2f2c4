"""How connections to a destination are made, as the operator set it: route, relay host, section.

Imports: model.  No I/O.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from mailstack.delivery.options import SUBMISSIONS_PORT, IpVersion, QueueOptions, Route, TlsMode


@dataclass(frozen=True, slots=True)
class Way:
    """What holds for every host of one destination.

    Attributes:
        tls: the least that will do.
        is_implicit: TLS from the first octet.
        login: "" for none.
        source_ipv4, source_ipv6: our addresses; "" for the system's choice.
        helo: our name; "" for the usual one.
        is_set: somebody wrote down where the mail goes; DNS was not asked.
    """

    tls: TlsMode = "opportunistic"
    is_implicit: bool = False
    login: str = ""
    password: str = field(default="", repr=False)
    source_ipv4: str = ""
    source_ipv6: str = ""
    ip_version: IpVersion = "both"
    helo: str = ""
    is_set: bool = False

    def source(self, ip: str) -> str:
        """Our address for a connection to `ip`; "" for the system's choice."""
        return self.source_ipv6 if ":" in ip else self.source_ipv4


def route_of(domain: str, options: QueueOptions) -> Route | None:
    """The route of a domain, or the relay host as one; None: MX, and nothing else is set."""
    found = options.routes.get(domain) or options.routes.get("*")
    if found is not None or not options.relay_host:
        return found
    return Route(
        domain="*",
        host=options.relay_host,
        port=options.relay_port,
        tls=options.relay_tls,
        login=options.relay_login,
        password=options.relay_password,
    )


def way_of(route: Route | None, options: QueueOptions) -> Way:
    """What a route leaves open the section says."""
    if route is None:
        route = Route(domain="*")
    is_implicit = route.implicit_tls or bool(route.host and route.port == SUBMISSIONS_PORT)
    return Way(
        tls=_tls(route, options, is_implicit=is_implicit),
        is_implicit=is_implicit,
        login=route.login,
        password=route.password,
        source_ipv4=route.source_ipv4 or options.source_ipv4,
        source_ipv6=route.source_ipv6 or options.source_ipv6,
        ip_version=route.ip_version or options.ip_version,
        helo=route.helo,
        is_set=bool(route.host),
    )


def _tls(route: Route, options: QueueOptions, *, is_implicit: bool) -> TlsMode:
    if route.tls:
        return route.tls
    if route.login:
        return "verify"  # whoever stands between would have the password
    return "require" if is_implicit and options.tls in ("none", "opportunistic") else options.tls
