"""``explain``: the guide's entry for a code, with its commands filled in for a job.

``job_reader`` reads a specification leniently into ``job_facts``; ``fillings`` makes the values of
placeholders, ``fill_commands`` the commands. Nothing is connected, and no password is kept.
``code_page`` writes docs/error-codes.md. Nothing here imports DuckDB or Beam.
"""
