"""Starts a command of agir-cvtoolkit from a script of this folder.

Any Python may be the one that runs the script, so this file keeps to what the old ones understand.
"""

import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
OWN_PYTHON = os.path.join(HERE, ".venv", "bin", "python")
NEEDED = (3, 11)


def run(command, settings=()):
    """Run a command with the arguments of the script, in this Python or in that of gpusrv_setup.sh.

    Args:
        command: its words.
        settings: pairs of a configuration key and its value; None leaves the configuration's.
    """
    words = list(command)
    for key, value in settings:
        if value is not None:
            words += ["-o", "{}='{}'".format(key, str(value).replace("'", "\\'"))]
    words += sys.argv[1:]
    if _is_new_enough() and _has_package():
        from agir_cvtoolkit.cli import main

        sys.exit(main(words, prog_name="agir-cvtoolkit"))
    if os.path.exists(OWN_PYTHON) and os.path.abspath(sys.executable or "") != OWN_PYTHON:
        # -u: what is printed appears at once, also in a pipe.
        os.execv(OWN_PYTHON, [OWN_PYTHON, "-u", "-m", "agir_cvtoolkit"] + words)
    sys.stderr.write(_what_is_missing() + "\n")
    sys.exit(2)


def _is_new_enough():
    return sys.version_info[:2] >= NEEDED


def _has_package():
    import importlib.util

    return importlib.util.find_spec("agir_cvtoolkit") is not None


def _what_is_missing():
    if not _is_new_enough():
        return "Python {}.{} is too old: this needs 3.11 or newer. Install one and run: bash gpusrv_setup.sh".format(
            sys.version_info[0], sys.version_info[1]
        )
    return "agir-cvtoolkit is not installed. Run: bash gpusrv_setup.sh, or: pip3 install -r requirements.txt"
