"""The interface of sources, and what all kinds of them share.

``source_access`` is what the launcher can ask of one, ``stored_row_reader`` how workers read it,
``spread_rows`` makes several candidates of one row (unpivot, split), ``asked_rows`` finds rows
again by their keys. The kinds are ``postgres`` and ``files``.
"""
