"""The watch loop: poll, wake, stop; alone or several in one process."""
