"""Checks that damage in files would be noticed: Parquet files needn't have checksums."""

from __future__ import annotations

from collections.abc import Mapping

from pipelines.databases.open_databases import Databases
from pipelines.preflight.finding import Finding, warning
from schemas.errors import ErrorCode
from transforms.model.program import LoadProgram
from transforms.sources.files.file_source import FileSource


def check_file_checksums(
    databases: Databases, programs: Mapping[str, LoadProgram]
) -> list[Finding]:
    """SYS-005 for patterns of which files have pages without checksums."""
    patterns = dict.fromkeys(
        (program.source, relation.name)
        for program in programs.values()
        for relation in program.relations
    )
    findings = []
    for name, pattern in patterns:
        source = databases.sources[name]
        if not isinstance(source, FileSource):
            continue
        files = source.without_checksums(pattern)
        if files:
            others = f" and {len(files) - 1} more" if len(files) > 1 else ""
            findings.append(
                warning(
                    ErrorCode.SYS_005,
                    pattern,
                    f"{files[0]}{others} can't be checked for damage: a bit that has flipped"
                    " could change a value unseen, because the pages have no checksums",
                    "compare the files with those that were exported (sha256sum), or write them"
                    " with checksums: write_page_checksum=True in pyarrow,"
                    " parquet.page.write-checksum.enabled=true in Spark",
                )
            )
    return findings
