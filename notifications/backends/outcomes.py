"""What every backend writes into Django's `TaskResult`: frozen to everybody else, as in Django's own backends."""

from traceback import format_exception
from typing import Any

from django.tasks import TaskResult
from django.tasks.base import TaskError


def change(result: TaskResult, **values: Any) -> None:
    for name, value in values.items():
        object.__setattr__(result, name, value)


def add_error(result: TaskResult, error: BaseException) -> None:
    """Write down what a call of the task has raised."""
    path = f"{type(error).__module__}.{type(error).__qualname__}"
    result.errors.append(TaskError(exception_class_path=path, traceback="".join(format_exception(error))))
