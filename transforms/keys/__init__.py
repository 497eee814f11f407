"""Keys as text and as hashes: how rows are identified and compared.

``source_keys`` identifies rows in the error sink, ``key_text`` is the comparable form of target
keys, ``parent_keys`` maps keys to what they refer to (``integer_keys`` and ``hashed_texts`` are
its indexes), ``similar_keys`` says how a missing key differs from an existing one.
"""
