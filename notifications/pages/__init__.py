"""Pages for people who visit the service with a browser. The admin's are in `admin`."""
