"""`make demo`: the service at work, with everything around it on this machine, and nothing of the user's touched."""
