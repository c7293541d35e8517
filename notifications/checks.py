"""System checks: a wrong setting is refused at start, with the way out in the message."""
