"""The door: HTTP in, problem documents out. Nothing here decides anything about a notification."""
