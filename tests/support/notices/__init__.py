"""Receivers of notices."""
