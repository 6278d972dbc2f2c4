"""What the filter's parent and its workers say to each other."""

from __future__ import annotations

from typing import Any

import msgspec

from mailstack.filters.options import FilterOptions
from mailstack.filters.sieve_options import SieveOptions
from mailstack.filters.virus import Policy
from mailstack.model.dns import Answer, Question

#: The problem of a step that took all memory of its worker.
OUT_OF_MEMORY = "out of memory"


class Setup(msgspec.Struct, frozen=True):
    """What a worker must know before its first message.

    Attributes:
        directory: path of directory.db; "" for none (scan without an instance).
        model: path of the weights; "" for those that come with mailstack.
        time_zone: of accounts for which nobody has chosen one.
        state: path of state.db; "" for none.
        mail: root of the account homes; "" for none.
        mail_log: path of maillog.db; "" for none.
        taught: folder of what domains were taught; "" for none.
        on_virus: what is done about viruses; "": nobody looks for them.
    """

    options: FilterOptions
    authserv_id: str
    directory: str = ""
    model: str = ""
    time_zone: str = "UTC"
    state: str = ""
    mail: str = ""
    mail_log: str = ""
    sieve: SieveOptions = SieveOptions()
    taught: str = ""
    on_virus: Policy = ""


class Record(msgspec.Struct, frozen=True, array_like=True):
    """An answer to one question, ready for the wire.

    Attributes:
        records: octets, text, or lists of those and numbers.
    """

    name: str
    kind: str
    status: str
    records: tuple[Any, ...]
    keep_s: float


class Step(msgspec.Struct, frozen=True, array_like=True):
    """Parent to worker: run this job a step.

    Attributes:
        request: a FilterRequest; empty when the worker has the job already.
        known: answers to what it wanted.
        last: what is not known now counts as a temporary error.
        drop: forget the job instead.
    """

    job: int
    request: bytes = b""
    known: tuple[Record, ...] = ()
    last: bool = False
    drop: bool = False


class Begins(msgspec.Struct, frozen=True, array_like=True):
    """A script of an account that begins to run: its name, and the hash of its source."""

    account_id: int
    script: str
    version: bytes


class Done(msgspec.Struct, frozen=True, array_like=True):
    """Worker to parent: what came of a step.

    Attributes:
        answer: a FilterAnswer; empty while questions are open.
        wanted: names and kinds.
        hasty: those of them that are not waited for long.
        problem: the step failed, in words for the log; the message is unfiltered.
        is_lost: the worker does not have this job: send the request again.
        retire: the worker has done its share; replace it.
        begins: nothing has come of it yet: the script that is about to run.
    """

    job: int
    answer: bytes = b""
    wanted: tuple[tuple[str, str], ...] = ()
    problem: str = ""
    is_lost: bool = False
    retire: bool = False
    hasty: tuple[tuple[str, str], ...] = ()
    begins: Begins | None = None


def to_record(question: Question, answer: Answer, keep_s: float) -> Record:
    """An answer for the wire; only kinds that checks ask for can be sent."""
    return Record(question.name, question.kind, answer.status, answer.records, keep_s)


def to_answer(record: Record) -> tuple[Question, Answer]:
    """The answer a record carries."""
    return Question(record.name, record.kind), Answer(
        record.status,  # type: ignore[arg-type]
        tuple(tuple(r) if isinstance(r, list) else r for r in record.records),
        ttl_s=int(record.keep_s),
    )
