"""A directory in memory, for tests of what only asks questions."""

from __future__ import annotations

from dataclasses import dataclass, field

from mailstack.model.address import Address
from mailstack.model.directory import Account, Alias, Domain, Gone, Redirection


@dataclass
class MemoryDirectory:
    domains: dict[str, Domain] = field(default_factory=dict)
    names: dict[str, Account | Alias | Gone] = field(default_factory=dict)
    catch_alls: dict[str, Account] = field(default_factory=dict)

    def add_domain(self, name: str, **facts: str) -> None:
        self.domains[name] = Domain(name, **facts)  # type: ignore[arg-type]

    def add_account(self, text: str, **facts: object) -> Account:
        address = Address.parse(text)
        account = Account(len(self.names) + 1, address, **facts)  # type: ignore[arg-type]
        self.names[address.key] = account
        if account.kind == "catchall":
            self.catch_alls[address.domain] = account
        return account

    def add_redirection(self, text: str, *targets: str, keep: bool = False) -> Account:
        return self.add_account(text, redirection=Redirection(targets, keep))

    def add_alias(self, text: str, *targets: str, **facts: object) -> None:
        address = Address.parse(text)
        self.names[address.key] = Alias(address, targets, **facts)  # type: ignore[arg-type]

    def domain(self, name: str) -> Domain | None:
        return self.domains.get(name)

    def find(self, address: Address) -> Account | Alias | Gone | None:
        return self.names.get(address.key)

    def catch_all(self, domain: str) -> Account | None:
        return self.catch_alls.get(domain)

    def may_send_as(self, account: Account, address: Address) -> bool:
        return account.address.key == address.key

    def account_by_id(self, account_id: int) -> Account | None:
        found = [n for n in self.names.values() if isinstance(n, Account) and n.id == account_id]
        return found[0] if found else None
