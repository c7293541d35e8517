"""Counters of attempts that outlive the attempts."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('notifications', '0003_door'),
    ]

    operations = [
        migrations.CreateModel(
            name='AttemptTotal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('channel', models.CharField(max_length=50)),
                ('outcome', models.CharField(max_length=10)),
                ('count', models.PositiveBigIntegerField(default=0)),
                ('counted_to', models.PositiveBigIntegerField(default=0)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('channel', 'outcome'), name='attempt_total_is_unique')],
            },
        ),
    ]
