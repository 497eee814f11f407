"""``run_doctor``: runs all subjects of the diagnosis and returns their observations."""

from __future__ import annotations

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import psycopg

from pipelines.connections.database_errors import translate_errors
from pipelines.databases.open_databases import open_databases
from pipelines.doctor.health_finding import (
    FindingLevel,
    HealthFact,
    HealthFinding,
    Observation,
    advise,
    finding_of,
    is_blocker,
)
from pipelines.doctor.loads_check import LoadsCheck
from pipelines.doctor.machine_health import examine_machine
from pipelines.doctor.network_path import examine_path
from pipelines.doctor.reached_server import ReachedServer
from pipelines.doctor.recent_errors import examine_recent_errors, verb_command
from pipelines.doctor.server_login import log_in
from pipelines.doctor.server_settings import examine_settings
from pipelines.doctor.session_load import examine_sessions, lock_holders
from pipelines.ledger.control_version import read_version
from pipelines.ledger.job_ledger import JobLedger
from pipelines.maps.run_contexts import workers_of
from schemas.control_version_tables import CONTROL_VERSION
from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError
from schemas.specification.database_url import find_url_problem
from schemas.specification.root import Retry, Specification
from transforms.postgres.refused_logins import forget_refused_logins

LONG_TRANSACTION = 300.0
"""Seconds after which a transaction is reported: no application of a clinic needs five minutes."""

_BLOCKER = FindingLevel.BLOCKER

SAMPLE_SECONDS = 5.0
"""Seconds from the start after which no further load is sampled: all of it takes ten at most."""


@dataclass(frozen=True)
class Diagnosis:
    """The result of ``doctor``.

    Attributes:
        job: The job of the specification.
        findings: Blockers first, then warnings, then advice.
        facts: Everything that was looked at, in order.
        seconds: How long it took.
        is_deep: Whether all rows of the sources were read.
    """

    job: str
    findings: tuple[HealthFinding, ...]
    facts: tuple[HealthFact, ...]
    seconds: float
    is_deep: bool

    @property
    def status(self) -> ExitStatus:
        """BLOCKED if there is a blocker."""
        blocked = any(one.level is FindingLevel.BLOCKER for one in self.findings)
        return ExitStatus.BLOCKED if blocked else ExitStatus.COMPLETE

    def of_level(self, level: FindingLevel) -> list[HealthFinding]:
        """The findings of one level."""
        return [one for one in self.findings if one.level is level]


def run_doctor(
    specification: Specification, deep: bool = False, long_after: float = LONG_TRANSACTION
) -> Diagnosis:
    """Examine servers, data and this machine; nothing is written.

    Args:
        specification: The job's.
        deep: Read all rows of the sources. Otherwise it takes at most ten seconds, unless the
            system takes longer to look up a host.
        long_after: The seconds after which a transaction or prepared transaction is reported.

    Returns:
        The findings, each with its fix, and the facts.
    """
    begun = time.monotonic()
    forget_refused_logins()
    # A second attempt would come too late for a diagnosis of ten seconds.
    limits = specification.limits.model_copy(update={"retry": Retry(attempts=1)})
    specification = specification.model_copy(update={"limits": limits})
    with ExitStack() as stack:
        doctor = _Doctor(specification, deep, begun + SAMPLE_SECONDS, long_after)
        doctor.examine(stack)
    order = list(FindingLevel)
    # Limits of a server that source and target share are reported once.
    findings: dict[tuple[ErrorCode, str, str], HealthFinding] = {}
    for one in doctor.findings:
        findings.setdefault((one.code, one.reason, one.fix), one)
    return Diagnosis(
        specification.job,
        tuple(sorted(findings.values(), key=lambda one: order.index(one.level))),
        tuple(doctor.facts),
        time.monotonic() - begun,
        deep,
    )


class _Doctor:
    def __init__(
        self, specification: Specification, deep: bool, until: float, long_after: float
    ) -> None:
        self.specification = specification
        self.deep = deep
        self.until = until
        self.long_after = long_after
        self.findings: list[HealthFinding] = []
        self.facts: list[HealthFact] = []
        self.source_bytes = 0
        self.servers: list[ReachedServer] = []

    def examine(self, stack: ExitStack) -> None:
        servers = self.servers = self._reach_servers(stack)
        for server in servers:
            workers = workers_of(self.specification)
            needed = server.needed(servers, self.specification.job, workers)
            sessions = examine_sessions(server.place, server.connection, needed, self.long_after)
            self._collect(server.place, sessions)
        target = next((one for one in servers if one.is_target), None)
        if target is not None:
            self._collect("target", examine_settings(target.connection))
        databases = 1 + sum(not one.is_files for one in self.specification.named_sources.values())
        is_current = target is not None and self._examine_ledger(target)
        if target is not None and len(servers) == databases:
            self._examine_loads(servers, target, is_current)
        else:
            # Those of the specification itself need no server to be reported.
            self._block(self.specification.deferred_problems)
        self._collect("machine", examine_machine(self.specification, self.source_bytes))

    def _reach_servers(self, stack: ExitStack) -> list[ReachedServer]:
        """The servers that a login reaches; the others have a finding."""
        specification = self.specification
        urls = [
            (name if specification.source is None else "source", source.url)
            for name, source in specification.named_sources.items()
        ]
        named = [
            (f"source {name}" if name != "source" else name, name, url)
            for name, url in urls
            if url is not None
        ]
        named.append(("target", "", specification.target.url))
        with ThreadPoolExecutor(len(named)) as pool:
            results = list(pool.map(lambda one: self._reach(one[0], one[2]), named))
        servers = []
        for (place, name, _), (connection, observations) in zip(named, results, strict=True):
            self._add(observations)
            if connection is not None:
                stack.callback(connection.close)
                servers.append(ReachedServer(place, name, connection, place == "target"))
        return servers

    def _reach(
        self, place: str, url: str
    ) -> tuple[psycopg.Connection[tuple[object, ...]] | None, list[Observation]]:
        fault = find_url_problem(url)
        if fault is not None:
            # Its parts could be those of a password, so none of them is looked up.
            reason, fix = fault
            return None, [HealthFinding(_BLOCKER, ErrorCode.SYS_004, place, reason, fix)]
        path = list(examine_path(place, url))
        if any(map(is_blocker, path)):
            return None, path
        connection, login = log_in(place, url, self.specification.job, self.deep)
        return connection, [*path, *login]

    def _examine_ledger(self, target: ReachedServer) -> bool:
        """Examine the job's records; return whether the control tables can be read."""
        try:
            version = read_version(target.connection, self.specification)
        except TransfuseError as error:
            self._block(error.problems)
            return False
        if version is None:
            return True
        self.facts.append(HealthFact("target", "control tables' version", version))
        if version < CONTROL_VERSION:
            reason = f"the control tables are of version {version}: any other command upgrades them"
            fix = verb_command("status", self.specification)
            self._add([advise(ErrorCode.SYS_004, "target, control tables", reason, fix)])
            return False
        ledger = JobLedger(target.connection, self.specification)
        self._collect("control tables", examine_recent_errors(ledger))
        return True

    def _examine_loads(
        self, servers: list[ReachedServer], target: ReachedServer, is_current: bool
    ) -> None:
        try:
            with open_databases(self.specification) as databases:
                check = LoadsCheck(databases, servers, target, self.deep)
                self._collect("loads", check.prepare())
                self._collect("loads", check.examine_tables())
                self.source_bytes = check.source_bytes
                if is_current and check.is_ready:
                    self._collect("data", check.examine_rows(self.until))
        except TransfuseError as error:
            self._block(error.problems)

    def _collect(self, place: str, observations: Iterable[Observation]) -> None:
        """Add the observations of a subject; if it fails, the failure is one more."""
        try:
            with translate_errors(place):
                for one in observations:
                    self._add([one])
        except TransfuseError as error:
            if isinstance(error.__cause__, psycopg.errors.QueryCanceled):
                reason = "the server needs more time for an answer than a diagnosis has"
                fix = f"{verb_command('doctor', self.specification)} --deep"
                self._add([advise(ErrorCode.SYS_002, place, reason, fix)])
                return
            if isinstance(error.__cause__, psycopg.errors.LockNotAvailable):
                holders = self._lock_holders()
                self._add(holders)
                if holders:
                    return
            refused = error.status is ExitStatus.REFUSED
            level = FindingLevel.BLOCKER if refused else FindingLevel.WARNING
            self._add(finding_of(problem, level) for problem in error.problems)

    def _lock_holders(self) -> list[Observation]:
        holders: list[Observation] = []
        for server in self.servers:
            # A server that is gone by now has a finding already.
            with suppress(psycopg.Error):
                holders += lock_holders(server.place, server.connection)
        return holders

    def _block(self, problems: Iterable[Problem]) -> None:
        self._add(finding_of(problem, _BLOCKER) for problem in problems)

    def _add(self, observations: Iterable[Observation]) -> None:
        for one in observations:
            if isinstance(one, HealthFinding):
                self.findings.append(one)
            else:
                self.facts.append(one)
