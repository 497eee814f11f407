"""The contents of maps in ``migration_maps``, for workers in other processes."""

from __future__ import annotations

from dataclasses import dataclass

from transforms.ledger.ledger_session import LedgerSession


@dataclass(frozen=True)
class StoredMaps:
    """Stores and reads parts of maps while a run goes on.

    Attributes:
        session: That of the run.
    """

    session: LedgerSession

    def add(self, name: str, part: str, sha256: str, content: bytes) -> None:
        """Add a part of a map.

        Args:
            name: The name of the map.
            part: The name of the part.
            sha256: The digest of the file or the rows that the part comes from.
            content: The part.

        Raises:
            psycopg.Error: The server can't be reached.
        """
        self.session.execute(
            "INSERT INTO {migration_maps} (job_id, name, part, sha256, content)"
            " VALUES (%(job)s, %(name)s, %(part)s, %(sha256)s, %(content)b)",
            {"name": name, "part": part, "sha256": sha256, "content": content},
        )

    def read(self, name: str, part: str, sha256: str) -> bytes | None:
        """Read a part of a map as ``add`` has stored it; None if it isn't stored."""
        query = self.session.compose(
            "SELECT content FROM {migration_maps} WHERE job_id = %(job)s AND name = %(name)s"
            " AND part = %(part)s AND sha256 = %(sha256)s"
        )
        values = {"job": self.session.job, "name": name, "part": part, "sha256": sha256}
        # As text the content would be sent with two digits for each byte.
        row = self.session.connection.execute(query, values, binary=True).fetchone()
        return None if row is None else row[0]

    def remove_all(self) -> None:
        """Remove the maps of the job."""
        self.session.execute("DELETE FROM {migration_maps} WHERE job_id = %(job)s")
