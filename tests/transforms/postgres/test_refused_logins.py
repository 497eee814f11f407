"""A wrong password is tried once: sites lock an account after a few attempts."""

from __future__ import annotations

import threading
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from pipelines.cli.main import main
from tests.support.servers.debian_server import debian_server
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow

LOADS = 6

SPECIFICATION = """
job: locked
source: {url: "${LEGACY_URL}"}
target: {url: "${TARGET_URL}", control_schema: migration}
limits: {connections: {source: 1, target: 1}, retry: {attempts: 3, delay: 50ms}}
tables:
""" + "".join(
    f'  l{i}: {{from: {{query: "SELECT id FROM legacy WHERE id % {LOADS} = {i}"}},'
    f" source_key: id, into: people, key: [id], copy: [id]}}\n"
    for i in range(LOADS)
)


def test_a_password_that_changes_during_a_run_is_tried_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "locked.yaml"
    path.write_text(SPECIFICATION)
    with debian_server() as uri:
        if uri is None:
            pytest.skip("no PostgreSQL of Debian is here")
        log = Path(str(conninfo_to_dict(uri)["host"])) / "log"
        with psycopg.connect(uri, autocommit=True) as connection:
            connection.execute(
                "CREATE TABLE legacy (id int); INSERT INTO legacy SELECT generate_series(1, 60);"
                "CREATE TABLE people (id int PRIMARY KEY);"
                "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS"
                " $$ BEGIN PERFORM pg_sleep(0.05); RETURN new; END $$;"
                "CREATE TRIGGER slow BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION slow();"
                "CREATE ROLE reader LOGIN PASSWORD 'vorher'; GRANT SELECT ON legacy TO reader"
            )
            (file,) = connection.execute("SHOW hba_file").fetchone() or ("",)
            rules = Path(file)
            rules.write_text(f"local all reader scram-sha-256\n{rules.read_text()}")
            connection.execute("SELECT pg_reload_conf()")

            def change() -> None:
                asked = "SELECT count(*) FROM people"
                wait_until(lambda: connection.execute(asked).fetchone() != (0,), 60)
                connection.execute("ALTER ROLE reader PASSWORD 'nachher'")

            changing = threading.Thread(target=change)
            changing.start()
            parts = conninfo_to_dict(uri)
            url = f"postgresql://reader:vorher@/postgres?host={parts['host']}&port={parts['port']}"
            given = ["migrate", str(path), f"--var=LEGACY_URL={url}", f"--var=TARGET_URL={uri}"]
            assert main(given) == 3
            changing.join()
            told = capsys.readouterr().err
            assert "CONN-002" in told
            assert "vorher" not in told
            # Once by the driver that reads, and once more if its first attempt was for TLS.
            refusals = log.read_text().count('password authentication failed for user "reader"')
            assert 1 <= refusals <= 2, log.read_text()
            # Corrected, the job goes on at once.
            given[2] = given[2].replace("vorher", "nachher")
            assert main(given) == 0, capsys.readouterr().err
            assert connection.execute("SELECT count(*) FROM people").fetchone() == (60,)
