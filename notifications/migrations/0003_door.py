"""Who asked, who may ask, and what was answered: owners, keys, tokens and counts."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('notifications', '0002_queue_index'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='IdempotencyKey',
            fields=[
                ('digest', models.CharField(help_text='SHA-256 of caller, method, path and key.', max_length=64, primary_key=True, serialize=False)),
                ('fingerprint', models.CharField(help_text="SHA-256 of the request's query and body.", max_length=64)),
                ('status_code', models.PositiveSmallIntegerField()),
                ('location', models.CharField(blank=True, max_length=255)),
                ('body', models.TextField()),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), db_index=True)),
            ],
        ),
        migrations.CreateModel(
            name='RecipientCount',
            fields=[
                ('digest', models.CharField(max_length=64, primary_key=True, serialize=False)),
                ('hour', models.PositiveIntegerField()),
                ('in_hour', models.PositiveIntegerField()),
                ('day', models.PositiveIntegerField(db_index=True)),
                ('in_day', models.PositiveIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name='Token',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('digest', models.CharField(editable=False, max_length=64, unique=True)),
                ('hint', models.CharField(editable=False, help_text='How the secret begins.', max_length=16)),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, editable=False, null=True)),
            ],
        ),
        migrations.AlterModelOptions(
            name='notification',
            options={'ordering': ['-created_at', '-id'], 'permissions': [('cancel_notification', 'Can cancel notification'), ('resend_notification', 'Can resend notification'), ('view_all_notifications', "Can view everybody's notifications")]},
        ),
        migrations.AddField(
            model_name='notification',
            name='dedupe_key',
            field=models.CharField(blank=True, help_text='An owner has one notification for each key.', max_length=255),
        ),
        migrations.AddField(
            model_name='notification',
            name='owner',
            field=models.ForeignKey(blank=True, db_index=False, help_text='Who asked for it; nobody, if code of this process did.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='notification',
            name='request_id',
            field=models.CharField(blank=True, help_text='X-Request-ID of the request that brought it.', max_length=64),
        ),
        migrations.AddField(
            model_name='notification',
            name='resend_of',
            field=models.UUIDField(blank=True, help_text='The notification that this one repeats.', null=True),
        ),
        migrations.AddIndex(
            model_name='notification',
            index=models.Index(condition=models.Q(('owner__isnull', False)), fields=['owner', 'created_at', 'id'], name='notification_owned'),
        ),
        migrations.AddConstraint(
            model_name='notification',
            constraint=models.UniqueConstraint(condition=models.Q(models.Q(('dedupe_key', ''), _negated=True), ('owner__isnull', False)), fields=('owner', 'dedupe_key'), name='notification_owners_dedupe_key'),
        ),
        migrations.AddConstraint(
            model_name='notification',
            constraint=models.UniqueConstraint(condition=models.Q(models.Q(('dedupe_key', ''), _negated=True), ('owner__isnull', True)), fields=('dedupe_key',), name='notification_own_dedupe_key'),
        ),
        migrations.AddField(
            model_name='token',
            name='user',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
    ]
