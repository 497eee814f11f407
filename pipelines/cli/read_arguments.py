"""The specification that the arguments of a verb name, and the flags for Beam."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from pipelines.cli.log_arguments import identify_process
from schemas.errors import ErrorCode, Problem, TransfuseError

if TYPE_CHECKING:
    from schemas.specification.root import Specification


def read(parsed: argparse.Namespace, defer_fields: bool = False) -> Specification:
    """Read the specification that the arguments name, with variables and job as they say.

    Args:
        parsed: The arguments of a verb that takes a specification.
        defer_fields: As for ``read_specification``: for verbs that compile every load.

    Returns:
        The specification.

    Raises:
        TransfuseError: As ``read_specification`` raises; USER-001 for a ``--var`` that isn't
            NAME=VALUE, and for a ``--by`` that is no name.
    """
    from pipelines.audit.actor import act_for
    from schemas.specification.reading import read_specification

    act_for(parsed.by)
    variables = variables_of(parsed)
    specification = read_specification(parsed.specification, variables, parsed.job, defer_fields)
    identify_process(parsed, specification.job)
    return specification


def variables_of(parsed: argparse.Namespace) -> dict[str, str]:
    """The environment with the variables that the arguments set.

    Args:
        parsed: The arguments of a verb that takes ``--var``.

    Returns:
        The variables of the specification.

    Raises:
        TransfuseError: USER-001 for a ``--var`` that isn't NAME=VALUE.
    """
    variables = dict(os.environ)
    for setting in parsed.var:
        name, equals, value = setting.partition("=")
        if not equals or not name:
            # Without the argument itself: it may be a URL with its password.
            problem = Problem(
                ErrorCode.USER_001, "--var takes NAME=VALUE", "", "write --var NAME=VALUE"
            )
            raise TransfuseError(problem)
        variables[name] = value
    return variables


def refuse_unusable_flags(flags: list[str], specification: Specification) -> None:
    """Refuse flags that the run couldn't use, on a job that has nothing left to do as well.

    Args:
        flags: The flags that go to Beam.
        specification: That of the job.

    Raises:
        TransfuseError: USER-001.
    """
    if not flags:
        return
    from pipelines.engines.runner import pipeline_of
    from pipelines.maps.run_contexts import most_workers, workers_of

    pipeline_of(flags, workers_of(specification), most_workers(specification))
