"""Measurements with gates: each compares the package with a baseline in the same run.

``python -m benchmarks --data <folder>`` runs all of them; ``python -m benchmarks.<name>`` one. Each prints a
table, writes it as JSON with ``--json FILE``, and exits 1 when a gate is missed.
"""
