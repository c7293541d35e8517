from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("notifications", "0011_suppression_rights"),
    ]

    operations = [
        migrations.AddField(
            model_name="bulkaction",
            name="task_id",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                editable=False,
                help_text="The task last enqueued for it.",
                max_length=64,
            ),
        ),
    ]
