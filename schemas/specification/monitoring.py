"""The key ``monitor``: how often a run is measured, and when a measure raises an alert."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import AfterValidator
from pydantic import Field as Attribute

from schemas.specification.model import Part
from schemas.specification.quantities import Percent, Seconds


def _read_address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("it takes an IP address, such as 127.0.0.1 or 0.0.0.0") from None


class Monitoring(Part):
    """Limits of metrics as fractions; those of the troubleshooting guide unless set.

    Attributes:
        every: Seconds between two samples.
        throughput: Alert below this fraction of the usual rows per second.
        latency: Alert above this multiple of the usual time of a partition.
        errors: Alert above this fraction of rejected rows.
        cpu: Alert above this fraction of the launcher's processors.
        memory: Alert above this fraction of the launcher's memory.
        disk: Alert above this fraction of the launcher's disk for temporary files.
        network: Alert above this fraction of the speed of the launcher's network.
        metrics_port: Where Prometheus gets the metrics; None for nowhere.
        metrics_address: The address that this port belongs to.
    """

    every: Annotated[Seconds, Attribute(ge=0.1)] = 30.0
    throughput: Percent = 0.7
    latency: Percent = 1.5
    errors: Percent = 0.05
    cpu: Percent = 0.8
    memory: Percent = 0.85
    disk: Percent = 0.9
    network: Percent = 0.75
    metrics_port: Annotated[int, Attribute(ge=1, le=65535)] | None = None
    metrics_address: Annotated[str, AfterValidator(_read_address)] = "127.0.0.1"
