"""Source and target as the launcher sees them.

``open_databases`` opens them, ``load_compilation`` compiles the loads against their catalogues,
``lost_sources`` goes on under another snapshot, ``sequences`` moves those of the target.
"""
