"""What the first page asks. What is right is decided where the API decides it: by `services.accept`."""

from django import forms

from ..channels import channels
from ..conf import notification_settings, via_choices

INLINE = "inline"
DEMO = "demo"  # the channel whose work is slow

EXPLAINED = {
    "thread": "on a thread of the web process, after the response",
    "queue": "in a worker process, from the database",
    INLINE: "for contrast: the request does the work itself, then responds",
}


def is_demonstrable() -> bool:
    """Whether there is slow work to show: settings of development configure its channel."""
    return DEMO in channels


def modes() -> list[tuple[str, str]]:
    known = [*sorted(via_choices(), reverse=True), *([INLINE] if is_demonstrable() else [])]
    return [(mode, EXPLAINED.get(mode, f"on the backend {mode}")) for mode in known]


class SendForm(forms.Form):
    recipient = forms.CharField(initial="you@example.com")
    message = forms.CharField(initial="Respond first, work after.", strip=False)
    via = forms.ChoiceField(choices=modes, initial=lambda: notification_settings().via)
    slow = forms.BooleanField(required=False)
