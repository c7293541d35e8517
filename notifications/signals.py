"""What happened, said once for each batch. Receivers log it; no receiver changes anything: what one raises is logged by
Django (`django.dispatch`), and that it has happened stays true.

All of them carry ids and outcomes, never a message or an address.
"""

from django.dispatch import Signal

# notification_id, via, channel: a row (and its queue entry) was written; its transaction may still roll back.
# requested_via: the engine that was asked for, where another one took it because it is down; else empty.
accepted = Signal()

# records: a sequence of statements.Record, each one attempt that was committed.
# fenced: ids whose attempt came to an end after somebody else had taken them over; nothing was recorded.
recorded = Signal()

# lost: ids whose worker died while sending. stranded: ids whose queue entry was gone. given_up: like the first, but
# not tried again: failed, or unknown where the channel holds such.
recovered = Signal()

# claims: a sequence of statements.Claim that were cancelled, because their recipients are on the suppression list.
suppressed = Signal()

# ids: entries of the suppression list that are new, for this `reason`; or entries that were taken off it.
listed = Signal()
lifted = Signal()
