"""Runs in other processes, and what runs and replays leave behind."""
