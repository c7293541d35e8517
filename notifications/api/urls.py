"""The door's addresses."""

urlpatterns = []
