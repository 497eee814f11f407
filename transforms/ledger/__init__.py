"""The control tables, as workers read and write them.

All SQL on the control tables that runs in workers lives here, and every statement goes through a
``LedgerSession`` (``ledger_session``). The launcher's counterpart is ``pipelines.ledger``. Nothing
here decides what becomes of a row.
"""
