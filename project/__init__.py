"""Wiring: settings, URLs and server entry points. The app never imports this package."""
