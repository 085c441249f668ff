"""How good annotations are: what is wrong with them, and how well people agree."""
