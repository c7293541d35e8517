"""How many notifications a recipient was sent in this hour and on this day."""

from django.db import models


class RecipientCount(models.Model):
    """Windows are counted from 1970 (UTC): the number of the hour, and of the day.

    The recipient is kept as a keyed digest: this table is no list of addresses.
    """

    digest = models.CharField(primary_key=True, max_length=64)
    hour = models.PositiveIntegerField()
    in_hour = models.PositiveIntegerField()
    day = models.PositiveIntegerField(db_index=True)
    in_day = models.PositiveIntegerField()

    def __str__(self) -> str:
        return f"{self.in_hour} in hour {self.hour}, {self.in_day} on day {self.day}"
