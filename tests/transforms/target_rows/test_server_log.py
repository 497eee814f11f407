"""What the target's server logs of refused rows, and the settings in the README against it."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from pipelines.cli.main import main
from tests.support.project import PROJECT
from tests.support.servers.debian_server import debian_server

pytestmark = pytest.mark.slow

README = (PROJECT / "README.md").read_text(encoding="utf-8")

SPECIFICATION = """
job: JOB
source: {url: "${LEGACY_URL}"}
target: {url: "${TARGET_URL}", control_schema: migration}
tables: {people: {from: legacy, key: [id], copy: [id, age, name]}}
"""

TABLES = """
CREATE TABLE legacy (id int PRIMARY KEY, age int, name text);
INSERT INTO legacy VALUES (1, 1, 'secret'), (2, 9, 'secret'), (3, 3, 'raise secret'), (4, 4, 'x');
CREATE TABLE people (id int PRIMARY KEY, age int CHECK (age < 5), name text);
CREATE FUNCTION raises() RETURNS trigger LANGUAGE plpgsql AS
 $$ BEGIN IF new.name ~ 'raise' THEN RAISE 'no: %', new.name; END IF; RETURN new; END $$;
CREATE TRIGGER raises BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION raises();
CREATE ROLE mover LOGIN;
GRANT CREATE ON DATABASE postgres TO mover;
GRANT ALL ON ALL TABLES IN SCHEMA public TO mover;
"""


def test_the_settings_of_the_readme_keep_rows_out_of_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet, terse = (
        line.partition(";")[0].strip()
        for line in README.splitlines()
        if line.startswith("    ALTER ROLE mover SET log_")
    )
    with debian_server() as uri:
        if uri is None:
            pytest.skip("no PostgreSQL of Debian is here")
        log = Path(str(conninfo_to_dict(uri)["host"])) / "log"
        url = uri.replace("postgres@", "mover@")
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute(TABLES)

            def logged(job: str, *settings: str) -> str:
                """What the log has of a migration of four rows, of which two are written."""
                for setting in settings:
                    connection.execute(setting.encode())
                connection.execute("TRUNCATE people")
                begun = len(log.read_text())
                path = tmp_path / f"{job}.yaml"
                path.write_text(SPECIFICATION.replace("JOB", job))
                given = ["migrate", str(path), f"--var=LEGACY_URL={url}", f"--var=TARGET_URL={url}"]
                assert main(given) == 0, capsys.readouterr().err
                assert connection.execute("SELECT count(*) FROM people").fetchone() == (2,)
                return log.read_text()[begun:]

            assert "secret" in logged("first")
            told = logged("second", terse)
            assert "CONTEXT" not in told
            assert "Failing row" not in told
            assert "secret" not in logged("third", quiet)
