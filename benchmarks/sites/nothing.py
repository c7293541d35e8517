"""No job at all."""


def enqueue(recipient: str) -> None:
    pass
