"""`mailstack domain`: domains, their keys and DNS records."""

from __future__ import annotations

import time
from typing import Annotated, Literal

import typer

from mailstack.cli.context import Context, group, show, talk
from mailstack.cli.directory_access import known_domain, reader, writer
from mailstack.cli.domain_keys import key_rows, rotate_dkim
from mailstack.cli.domain_mail import mail
from mailstack.directory.names import new_domain
from mailstack.model.directory import Domain
from mailstack.model.errors import PermanentFailure

app = group("Domains, their keys and DNS records.")
app.command("rotate-dkim")(rotate_dkim)
app.command("mail")(mail)

Inbound = Literal["local", "remote", "follow-mx"]
Unknown = Literal["refuse", "relay"]
InboundOption = Annotated[
    Inbound | None,
    typer.Option(
        help="local: mail for it is delivered here (default). remote: it is relayed to the domain's MX, as"
        " while a move is being prepared. follow-mx: local while its MX points here."
    ),
]
UnknownOption = Annotated[
    Unknown | None,
    typer.Option(
        help="What happens to addresses that do not exist: refuse (default), or relay to the old server"
        " ([[queue.route]] in the configuration) during a move, which goes before a catch-all."
    ),
]
LanguageOption = Annotated[
    str | None,
    typer.Option(
        metavar="TAG",
        help="In which language its owners are written to: en, fr, de, it, es; default: the server's.",
    ),
]
ZoneOption = Annotated[
    str | None,
    typer.Option(
        "--time-zone",
        metavar="ZONE",
        help="Where its owners live, such as Europe/Zurich; default: the server's.",
    ),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The domain, such as example.org.")]


@app.command()
def add(name: Name, inbound: InboundOption = None, unknown: UnknownOption = None) -> None:
    """Adds a domain and makes its DKIM keys (RSA-2048 and Ed25519).

    The private keys are stored encrypted with secrets/master.key.  Publish what
    'mailstack domain dns NAME' prints.  A domain that was removed comes back with its old
    keys.
    """
    with writer() as directory:
        domain = directory.domains.add(name, inbound=inbound or "local", unknown=unknown or "refuse")
    show(_row(domain), f"added {domain.name}; publish what 'mailstack domain dns {domain.name}' prints")


@app.command("list")
def list_domains() -> None:
    """Lists every domain with how many addresses and aliases it has."""
    with reader() as directory:
        show(
            [
                {
                    **_row(domain),
                    "addresses": len(directory.accounts(domain.name)),
                    "aliases": len(directory.aliases(domain.name)),
                }
                for domain in directory.domains()
            ]
        )


@app.command("show")
def show_domain(name: Name) -> None:
    """Shows a domain: its state, its catch-all, the domains that mirror it, its keys."""
    context = Context.load()
    with reader(context) as directory:
        domain = known_domain(directory, name)
        catch_all = directory.catch_all(domain.name)
        keys = directory.published_keys(domain.name)
        show(
            {
                **_row(domain),
                "catch_all": None if catch_all is None else str(catch_all.address),
                "mirrors": [other.name for other in directory.domains() if other.alias_of == domain.name],
                "addresses": len(directory.accounts(domain.name)),
                "aliases": len(directory.aliases(domain.name)),
                "dkim": key_rows(keys, context.config.dkim),
            }
        )


@app.command("set")
def set_domain(
    name: Name,
    inbound: InboundOption = None,
    unknown: UnknownOption = None,
    language: LanguageOption = None,
    time_zone: ZoneOption = None,
) -> None:
    """Changes how mail for a domain is treated, its language and time zone; counts within a second."""
    context = Context.load()
    with writer(context) as directory:
        domain = directory.domains.set(
            name, inbound=inbound, unknown=unknown, language=language, time_zone=time_zone
        )
    show(_row(domain))
    if unknown == "relay" and not any(
        route.host and route.domain in (domain.name, "*") for route in context.config.queue.route
    ):
        talk(f"warning: no [[queue.route]] in the configuration names {domain.name}: where should it go?")


@app.command()
def alias(
    name: Annotated[str, typer.Argument(metavar="ALIAS", help="The domain to add.")],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="The domain it mirrors.")],
) -> None:
    """Adds a domain that mirrors every address of another.

    Mail to name@ALIAS reaches name@TARGET, and its owner may send as name@ALIAS.  Log-ins
    use the TARGET address.  The alias gets DKIM keys of its own.
    """
    with writer() as directory:
        domain = directory.domains.add_alias(name, target)
    show(_row(domain), f"added {domain.name}, which mirrors {domain.alias_of}")


@app.command()
def remove(
    name: Name,
    with_addresses: Annotated[
        bool, typer.Option("--with-addresses", help="Also remove every address and alias in it.")
    ] = False,
) -> None:
    """Removes a domain; refuses while it has addresses, aliases or mirrors.

    The names in it are remembered and the mail is kept: add the domain again and use
    'mailstack user restore' to bring an address back.
    """
    with writer() as directory:
        accounts, aliases = directory.domains.remove(name, with_addresses=with_addresses)
    show(
        {"removed": new_domain(name), "addresses": accounts, "aliases": aliases},
        f"removed {name} with {accounts} addresses and {aliases} aliases",
    )


@app.command()
def dns(
    name: Name,
    tlsa: Annotated[
        bool,
        typer.Option(
            "--tlsa",
            help="Also print TLSA records of the configured certificates; only if renewal keeps their keys.",
        ),
    ] = False,
) -> None:
    """Prints every DNS record to publish for a domain, as lines of a zone file.

    MX, SPF (also for this server's own name), the DKIM keys, DMARC, MTA-STS with its
    policy, TLS reports, SRV records and names by which mail programs find their settings.
    The values are safe for the first day: nothing is refused because of them; the comment
    above each record says when to tighten it.
    """
    from mailstack.app.options import parse_endpoint
    from mailstack.app.publish import publication

    context = Context.load()
    config = context.config
    with reader(context) as directory:
        domain = known_domain(directory, name)
        keys = directory.published_keys(domain.name)
    names = [name for name in config.listen.__struct_fields__ if name != "lmtp"]
    listeners = {name: getattr(config.listen, name) for name in names}
    ports = {listener: parse_endpoint(ends[0])[1] for listener, ends in listeners.items() if ends}
    found = publication(
        domain.name,
        config.hostname,
        keys=keys,
        ports=ports,
        certificate_keys=_certificate_keys(config.tls) if tlsa else (),
        now=time.time(),
        keep_s=config.dkim.keep_retired_s,
    )
    lines = [f"; {record.why}\n{record.line}\n" for record in found.records]
    policy = "".join(f";   {line}\n" for line in found.policy.splitlines())
    notes = "".join(f"; {note}\n" for note in found.notes)
    show(found, "\n".join([*lines, f"; MTA-STS policy:\n{policy}", notes]))
    if "." not in config.hostname:
        talk(f"warning: {config.hostname!r} is not a full host name; set server.hostname")


def _row(domain: Domain) -> dict[str, object]:
    return {
        "name": domain.name,
        "inbound": domain.inbound,
        "alias_of": domain.alias_of or None,
        "unknown": domain.unknown,
        "language": domain.language or None,
        "time_zone": domain.time_zone or None,
    }


def _certificate_keys(tls: object) -> list[str]:
    """SHA-256 of the public keys of the configured certificates, in hex."""
    import hashlib
    from pathlib import Path

    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    found = []
    for key in ("certificate_file", "ecdsa_certificate_file"):
        file = getattr(tls, key, "")
        if not file:
            continue
        try:
            certificate = x509.load_pem_x509_certificate(Path(file).read_bytes())
        except (OSError, ValueError) as error:
            raise PermanentFailure(f"tls.{key}: {file} cannot be used: {error}") from None
        public = certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        found.append(hashlib.sha256(public).hexdigest())
    if not found:
        raise PermanentFailure("no certificate is configured: set tls.certificate_file")
    return found
