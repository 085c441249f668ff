"""The main job end to end on embedded parts, and the scenes that it runs on."""
