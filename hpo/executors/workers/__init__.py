"""Trials of a function in processes of their own, which may crash, hang, leak and print as they like."""
