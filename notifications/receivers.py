"""Receivers of signals: they log. Signals emit, receivers log, nobody else does."""
