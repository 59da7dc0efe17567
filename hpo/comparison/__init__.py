"""What the results of searches are worth."""
