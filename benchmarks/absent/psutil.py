"""Measures here, and is part of no system: django-q2 would load it where it is found."""

raise ModuleNotFoundError("psutil is not part of what is measured", name="psutil")
