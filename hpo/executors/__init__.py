"""Executors: whatever runs jobs, behind one interface."""
