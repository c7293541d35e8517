"""The index that finds the entry to run next: django-q2 ships its queue without one.

It is in the order of a claim, `(key, lock)`. With `id` in it PostgreSQL would take it for look-ups by id too,
because the statistics of a queue are those of an empty table.
"""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

NAME = "notifications_queue_key_lock"


def has_queue(schema_editor: BaseDatabaseSchemaEditor) -> bool:
    return "django_q_ormq" in schema_editor.connection.introspection.table_names()


def create_index(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    if has_queue(schema_editor):
        schema_editor.execute(f'CREATE INDEX {NAME} ON django_q_ormq ("key", lock)')


def drop_index(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    schema_editor.execute(f"DROP INDEX IF EXISTS {NAME}")


class Migration(migrations.Migration):
    dependencies = [
        ("notifications", "0001_initial"),
        ("django_q", "0019_alter_task_options_alter_ormq_key_alter_ormq_lock_and_more"),
    ]

    operations = [migrations.RunPython(create_index, drop_index)]
