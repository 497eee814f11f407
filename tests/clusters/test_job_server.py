from __future__ import annotations

import zipfile

from clusters.job_server import write_job_server_jar


def attributes(path) -> dict[str, str]:
    """The manifest as Java reads it: lines of 72 bytes, which go on after a blank."""
    with zipfile.ZipFile(path) as jar:
        text = jar.read("META-INF/MANIFEST.MF").decode()
    assert all(len(line) <= 72 for line in text.split("\r\n"))
    whole = text.replace("\r\n ", "")
    return dict(line.split(": ", 1) for line in whole.split("\r\n") if line)


def test_the_manifest_names_everything_however_long(tmp_path):
    names = [f"library-{number}-1.{number}.jar" for number in range(200)]
    opens = ["java.base/java.lang", "java.base/java.util.concurrent.atomic"] * 5
    write_job_server_jar(tmp_path / "server.jar", "org.example.Driver", names, opens)
    told = attributes(tmp_path / "server.jar")
    assert told["Main-Class"] == "org.example.Driver"
    assert told["Class-Path"].split(" ") == names
    assert told["Add-Opens"].split(" ") == opens


def test_the_same_jars_give_the_same_file(tmp_path):
    for name in ("one.jar", "two.jar"):
        write_job_server_jar(tmp_path / name, "Main", ["a.jar"], ["java.base/java.lang"])
    assert (tmp_path / "one.jar").read_bytes() == (tmp_path / "two.jar").read_bytes()
