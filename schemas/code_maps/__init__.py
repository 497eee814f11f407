"""Maps between code systems, and codes as people write them.

``gem`` and ``gem_file`` read the General Equivalence Mappings; ``translation`` and ``by_system``
translate a column with them (the latter by ``row_systems`` and ``target_codes``), ``outcomes``
decides the outcome of each code; ``spelling`` reads codes without guessing; ``packaged_codes`` has
the files of CMS that come with the package, ``code_files`` the lists of codes of a site.
``lookup_table`` and ``chains`` are the maps from value to value.
"""
