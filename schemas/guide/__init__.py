"""The troubleshooting guide as data: levels, categories, codes, procedures, escalation.

``guide_catalogue`` has all entries by code; the modules ``*_codes`` hold those of one category
each. Codes, descriptions and severities are those of ``schemas.errors``. Commands and statements
are templates whose ``{placeholders}`` ``pipelines.explain`` fills in.
"""
