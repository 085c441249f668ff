"""The official SDK and command line, unmodified, each in an environment of its own, against the sandbox."""
