"""Source and target as the launcher sees them.

``connected`` opens both and compiles the loads; ``blocking`` names the sessions for which a run
waits, ``lost_sources`` goes on under another snapshot, ``sequences`` moves those of the target.
"""
