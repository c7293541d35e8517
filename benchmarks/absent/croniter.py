"""Came with procrastinate, and is part of no other system: django-q2 would load it where it is found."""

raise ModuleNotFoundError("croniter is not part of what is measured", name="croniter")
