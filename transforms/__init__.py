"""What is done to rows. Knows schemas, and nothing of the command line.

From the bottom up: ``model`` (plain data), ``resources`` (memory and disk), ``postgres``
(sessions with servers), ``sql`` (expressions on Arrow batches), ``keys``, ``mapping``,
``target_rows``, ``references``, ``compare``, ``sources``, ``compiling``, ``ledger``,
``prediction``, and ``steps``, the PTransforms and DoFns around all of it. A folder imports from
those below it only.
"""
