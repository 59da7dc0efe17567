"""What `scripts/storm.py` is made of: a module for each storm, and what they share."""
