"""Transfuse from Python: every verb of the command line as a function with a typed result.

``read_specification`` comes first, and the other functions take the specification. Nothing is
imported before it is used: importing Beam takes a second.

The folders, from the bottom up: ``terminal`` (output and signals), ``explain`` (the troubleshooting
guide), ``audit`` (who acts), ``logs``, ``engines`` (Beam runners, Flink, Spark), ``connections``
(of the launcher), ``ledger`` (the job in the control tables), ``databases`` (source and target),
``maps`` (their contents), ``monitor``, ``preflight``, ``planning``, ``rejects``, ``codes``,
``removal``, ``watch``, ``preview``, ``doctor`` (the diagnosis), ``run``, and ``cli``. A folder
imports from those below it only.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.audit.actor import act_for
    from pipelines.cli.console_observer import ConsoleObserver
    from pipelines.codes.code_export import CodeExport, export_codes
    from pipelines.codes.code_import import CodeImport, import_codes
    from pipelines.doctor.diagnose import Diagnosis, run_doctor
    from pipelines.doctor.health_finding import FindingLevel, HealthFact, HealthFinding
    from pipelines.explain.explanation import (
        Explanation,
        FilledProcedure,
        explain_code,
        explain_procedures,
    )
    from pipelines.explain.job_facts import JobFacts
    from pipelines.explain.job_reader import read_job_facts
    from pipelines.incidents.response import (
        acknowledge_incident,
        check_incidents,
        close_incident,
        escalate_incident,
        list_incidents,
        show_incident,
    )
    from pipelines.ledger.violation_filter import ViolationFilter
    from pipelines.ledger.violation_rows import ViolationCounts
    from pipelines.logs.log_files import LogSettings, write_log_files
    from pipelines.preview.migration_plan import MigrationPlan
    from pipelines.preview.plan import plan
    from pipelines.preview.plan_scope import PlanScope
    from pipelines.preview.rules import rules
    from pipelines.preview.try_row import Trial, try_row
    from pipelines.rejects.discard import discard, survey_discard
    from pipelines.rejects.reject_filter import filter_rejects
    from pipelines.rejects.reject_list import RejectList, list_rejects
    from pipelines.rejects.reopen import reopen
    from pipelines.rejects.single_reject import Reject, show_reject
    from pipelines.removal.reset import ResetResult, ResetSurvey, reset, survey_reset
    from pipelines.run.migrate import migrate
    from pipelines.run.outcome import RunOutcome
    from pipelines.run.replay import replay
    from pipelines.run.replay_outcome import ReplayOutcome
    from pipelines.watch.control import ControlEffect, ControlResult, pause, resume, stop
    from pipelines.watch.emergency import EmergencyResult, emergency_stop
    from pipelines.watch.run_observer import RunObserver
    from pipelines.watch.status import JobStatus, status, watch_status
    from schemas.errors import ErrorCode, ExitStatus, Problem, TransfuseError
    from schemas.guide.incident import Incident
    from schemas.ready_rules.rule import ReadyRule
    from schemas.specification.reading import read_specification
    from schemas.specification.root import Specification
    from schemas.summary import LoadSummary, Summary

__all__ = [
    "CodeExport",
    "CodeImport",
    "ConsoleObserver",
    "ControlEffect",
    "ControlResult",
    "Diagnosis",
    "EmergencyResult",
    "ErrorCode",
    "ExitStatus",
    "Explanation",
    "FilledProcedure",
    "FindingLevel",
    "HealthFact",
    "HealthFinding",
    "Incident",
    "JobFacts",
    "JobStatus",
    "LoadSummary",
    "LogSettings",
    "MigrationPlan",
    "PlanScope",
    "Problem",
    "ReadyRule",
    "Reject",
    "RejectList",
    "ReplayOutcome",
    "ResetResult",
    "ResetSurvey",
    "RunObserver",
    "RunOutcome",
    "Specification",
    "Summary",
    "TransfuseError",
    "Trial",
    "ViolationCounts",
    "ViolationFilter",
    "acknowledge_incident",
    "act_for",
    "check_incidents",
    "close_incident",
    "discard",
    "emergency_stop",
    "escalate_incident",
    "explain_code",
    "explain_procedures",
    "export_codes",
    "filter_rejects",
    "import_codes",
    "list_incidents",
    "list_rejects",
    "migrate",
    "pause",
    "plan",
    "read_job_facts",
    "read_specification",
    "reopen",
    "replay",
    "reset",
    "resume",
    "rules",
    "run_doctor",
    "show_incident",
    "show_reject",
    "status",
    "stop",
    "survey_discard",
    "survey_reset",
    "try_row",
    "watch_status",
    "write_log_files",
]

_MODULES = {
    "CodeExport": "pipelines.codes.code_export",
    "CodeImport": "pipelines.codes.code_import",
    "ConsoleObserver": "pipelines.cli.console_observer",
    "ControlEffect": "pipelines.watch.control",
    "ControlResult": "pipelines.watch.control",
    "Diagnosis": "pipelines.doctor.diagnose",
    "EmergencyResult": "pipelines.watch.emergency",
    "ErrorCode": "schemas.errors",
    "ExitStatus": "schemas.errors",
    "Explanation": "pipelines.explain.explanation",
    "FilledProcedure": "pipelines.explain.explanation",
    "FindingLevel": "pipelines.doctor.health_finding",
    "HealthFact": "pipelines.doctor.health_finding",
    "HealthFinding": "pipelines.doctor.health_finding",
    "Incident": "schemas.guide.incident",
    "JobFacts": "pipelines.explain.job_facts",
    "JobStatus": "pipelines.watch.status",
    "LoadSummary": "schemas.summary",
    "LogSettings": "pipelines.logs.log_files",
    "MigrationPlan": "pipelines.preview.migration_plan",
    "PlanScope": "pipelines.preview.plan_scope",
    "Problem": "schemas.errors",
    "ReadyRule": "schemas.ready_rules.rule",
    "Reject": "pipelines.rejects.single_reject",
    "RejectList": "pipelines.rejects.reject_list",
    "ReplayOutcome": "pipelines.run.replay_outcome",
    "ResetResult": "pipelines.removal.reset",
    "ResetSurvey": "pipelines.removal.reset",
    "RunObserver": "pipelines.watch.run_observer",
    "RunOutcome": "pipelines.run.outcome",
    "Specification": "schemas.specification.root",
    "Summary": "schemas.summary",
    "TransfuseError": "schemas.errors",
    "Trial": "pipelines.preview.try_row",
    "ViolationCounts": "pipelines.ledger.violation_rows",
    "ViolationFilter": "pipelines.ledger.violation_filter",
    "acknowledge_incident": "pipelines.incidents.response",
    "act_for": "pipelines.audit.actor",
    "check_incidents": "pipelines.incidents.response",
    "close_incident": "pipelines.incidents.response",
    "discard": "pipelines.rejects.discard",
    "emergency_stop": "pipelines.watch.emergency",
    "escalate_incident": "pipelines.incidents.response",
    "explain_code": "pipelines.explain.explanation",
    "explain_procedures": "pipelines.explain.explanation",
    "export_codes": "pipelines.codes.code_export",
    "filter_rejects": "pipelines.rejects.reject_filter",
    "import_codes": "pipelines.codes.code_import",
    "list_incidents": "pipelines.incidents.response",
    "list_rejects": "pipelines.rejects.reject_list",
    "migrate": "pipelines.run.migrate",
    "pause": "pipelines.watch.control",
    "plan": "pipelines.preview.plan",
    "read_job_facts": "pipelines.explain.job_reader",
    "read_specification": "schemas.specification.reading",
    "reopen": "pipelines.rejects.reopen",
    "replay": "pipelines.run.replay",
    "reset": "pipelines.removal.reset",
    "resume": "pipelines.watch.control",
    "rules": "pipelines.preview.rules",
    "run_doctor": "pipelines.doctor.diagnose",
    "show_incident": "pipelines.incidents.response",
    "show_reject": "pipelines.rejects.single_reject",
    "status": "pipelines.watch.status",
    "stop": "pipelines.watch.control",
    "survey_discard": "pipelines.rejects.discard",
    "survey_reset": "pipelines.removal.reset",
    "try_row": "pipelines.preview.try_row",
    "watch_status": "pipelines.watch.status",
    "write_log_files": "pipelines.logs.log_files",
}
"""The module of each public name."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
