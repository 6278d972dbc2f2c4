"""The ports of the smtp daemon: who is let in, with which TLS, and what is said of the others.

mx                       other servers, port 25
submission, submissions  people and devices, 587 and 465
..._legacy               devices with TLS as old as 1.0, and nobody else
lmtp                     listed mail servers and list managers; Unix sockets by their mode
"""

from __future__ import annotations

import logging
import resource
import socket
from dataclasses import dataclass, field
from functools import partial

from mailstack.app.daemon import Context
from mailstack.app.quiet import Quiet
from mailstack.model.network import Networks
from mailstack.model.reply import Reply
from mailstack.net.counts import Counts, LocalCounts, Prefixed, SharedCounts
from mailstack.net.listener import Admission, ConnectionCaps, Listener, Peer, Watcher
from mailstack.net.proxy_wire import Proxies
from mailstack.net.smtp_server import SmtpServer
from mailstack.net.smtp_shared import Shared
from mailstack.smtp.lmtp_options import LmtpOptions
from mailstack.smtp.options import SmtpOptions, cap
from mailstack.smtp.replies import wire
from mailstack.state.maillog import MailLog

SUBMISSION = ("submission", "submissions", "submission_legacy", "submissions_legacy")
_NOT_LISTED = "not listed in lmtp.networks"

_log = logging.getLogger(__name__)


@dataclass
class Ports:
    """What is open: servers, one per kind of port, and listeners, one per socket."""

    servers: list[SmtpServer] = field(default_factory=list)
    listeners: list[Listener] = field(default_factory=list)


def open_ports(context: Context, shared: Shared) -> Ports:
    """Makes a listener for every socket of the context; none accepts yet."""
    options, lmtp = context.config.smtp, context.config.lmtp
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    counts = _counts(context)
    shared.sessions = Prefixed(counts, "account ")
    submission = Admission(submission_caps(options), counts=Prefixed(counts, "submission "))
    relays = Networks(context.config.mx.trusted_relays)
    mx = Admission(mx_caps(options, descriptors=descriptors), counts=Prefixed(counts, "mx "), exempt=relays)
    found = Ports()
    _open(found, context, shared, "mx", mx)
    for name in SUBMISSION:
        _open(found, context, shared, name, submission)
    _open(found, context, shared, "lmtp", LmtpAdmission(lmtp))
    return found


def _counts(context: Context) -> Counts:
    """Connections of all workers; of this one alone when they cannot be shared."""
    try:
        return SharedCounts(context.paths.connections)
    except OSError as error:
        _log.error("connections are counted by each worker for itself: %s", error)
        return LocalCounts()


def _open(found: Ports, context: Context, shared: Shared, name: str, admission: Admission) -> None:
    sockets, contexts = context.sockets.get(name, []), shared.tls
    assert contexts is not None
    is_implicit, options = name.startswith("submissions"), context.config.smtp
    if not sockets:
        return
    if is_implicit and not contexts.is_available:
        _log.error("no certificate is configured: nobody can connect to the %s port", name)
        return
    session_s = context.config.lmtp.session_s if name == "lmtp" else None
    servers: dict[bool, SmtpServer] = {}
    for sock in sockets:
        is_local = sock.family == socket.AF_UNIX
        if is_local not in servers:
            # Nobody listens in on a Unix socket: there is nothing to encrypt.
            servers[is_local] = SmtpServer(name, shared, session_s=session_s, starttls=not is_local)
        server = servers[is_local]
        found.listeners.append(
            Listener(
                sock,
                server.connection,
                name=name,
                admission=admission,
                tls=contexts.chooser(server.tls_kind) if is_implicit else None,
                watcher=LogWatcher(context.maillog),
                handshake_s=partial(_handshake_s, options, shared),
                proxies=Proxies(context.config.proxy, name),
            )
        )
    found.servers += servers.values()


def _handshake_s(options: SmtpOptions, shared: Shared) -> float:
    # L4
    return options.stress_wait_s if shared.is_stressed() else options.tls_handshake_s


# -- limits ------------------------------------------------------------------------------


def mx_caps(options: SmtpOptions, *, descriptors: int) -> ConnectionCaps:
    """Caps of port 25; at most a quarter of the file descriptors (limits, section 1)."""
    total = cap(options.mx_sessions)
    return ConnectionCaps(
        total=max(8, descriptors // 4) if total is None else min(total, max(8, descriptors // 4)),
        per_ip=cap(options.mx_sessions_per_ip),
        per_network=cap(options.mx_sessions_per_network),
        per_wide_network=cap(options.mx_sessions_per_wide_network),
        per_minute=cap(options.mx_connections_per_minute),
        burst=options.mx_connection_burst,
    )


def submission_caps(options: SmtpOptions) -> ConnectionCaps:
    """Caps of 465, 587 and the legacy ports together."""
    return ConnectionCaps(
        total=cap(options.submission_sessions), per_ip=cap(options.submission_sessions_per_ip)
    )


class LmtpAdmission(Admission):
    """Lets in who came over a Unix socket, or from a listed network."""

    def __init__(self, options: LmtpOptions) -> None:
        super().__init__(ConnectionCaps(total=cap(options.sessions)))
        self._networks = Networks(options.networks)

    def admit(self, ip: str) -> str:
        """Counts a connection of `ip` in; "" or why it is refused."""
        if ip and ip not in self._networks:
            return _NOT_LISTED
        return super().admit(ip)


# -- what is said of connections that never became a session ----------------------------------


class LogWatcher(Watcher):
    """Connections that never became a session, in the mail log; of a flood a few lines a minute."""

    def __init__(self, maillog: MailLog) -> None:
        self._maillog = maillog
        self._quiet = Quiet()

    def refused(self, peer: Peer, why: str) -> bytes:
        """S42: 421 4.7.0; an LMTP client that is not listed is told so for good."""
        reply = Reply(421, "7.0", f"{why[:1].upper()}{why[1:]}, try again later", "connections")
        if why == _NOT_LISTED:
            text = "LMTP is for listed mail servers; add this address to lmtp.networks, or use port 25"
            reply = Reply(554, "7.1", text, "lmtp_network")
        self._refuse(peer, reply, why)
        return wire(reply)

    def proxy_failed(self, proxy: Peer, why: str) -> None:
        """The connection is closed without a word: nobody knows who would read it."""
        self._refuse(proxy, Reply(421, "7.0", why, "proxy_header"), f"the proxy {why}")

    def _refuse(self, peer: Peer, reply: Reply, why: str) -> None:
        left_out = self._quiet.left_out(peer.ip, f"{reply.check} {why}")
        if left_out is None:
            return
        why = f"{why} ({left_out} more like it before)" if left_out else why
        self._maillog.refused(
            "", peer=peer.ip, at="connect", check=reply.check, code=reply.code, status=reply.enhanced, why=why
        )

    def handshake_failed(self, peer: Peer, why: str) -> None:
        """L5."""
        write, ip = self._maillog.write, peer.ip
        left_out = self._quiet.left_out(ip, f"tls {why}")
        if left_out is None:
            return
        why = f"{why} ({left_out} more like it before)" if left_out else why
        write("tls_failed", refused_to=[ip], peer=ip, listener=peer.listener, why=why)

    def exhausted(self, listener: str, why: str) -> None:
        """No more descriptors."""
        _log.error("listener %s: %s; accepting pauses", listener, why)

    def crashed(self, peer: Peer, error: BaseException) -> None:
        """A mistake of ours."""
        _log.error("session with %s", peer.ip, exc_info=error)
