"""Respond first, work after: notifications accepted over HTTP and delivered in the background.

The way of a notification: `api.views` → `services.accept` → `tasks.deliver` → `delivery.deliver` → a channel.
"""
