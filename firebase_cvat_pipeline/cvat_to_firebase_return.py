#!/usr/bin/env python3
"""Writes corrected poses from CVAT back to Firebase: `agir-cvtoolkit firebase return`. See --help for the options."""

import launch

if __name__ == "__main__":
    launch.run(["firebase", "return"])
