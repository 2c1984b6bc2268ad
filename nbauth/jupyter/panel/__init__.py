"""The sign-in panel: the widget and its face."""
