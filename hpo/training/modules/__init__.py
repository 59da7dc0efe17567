"""Modules of a user's own: trained by themselves, or many together where they are alike."""
