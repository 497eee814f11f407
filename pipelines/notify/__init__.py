"""Notices to people, through Apprise or a command.

A ``Notifier`` sends them in threads of their own: no channel, however slow or broken, affects a
run. No notice holds a value of a row.
"""
