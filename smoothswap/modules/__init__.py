"""Shared blocks."""
