"""The output of the verbs as text and as JSON.

One file for each verb, or for verbs that print alike: ``status_report`` has the columns of
``status``, ``summary_report`` those of the summary. ``refusal`` prints why a verb did nothing.
"""
