"""``python -m agir_cvtoolkit``."""

from .cli import main

main(prog_name="agir-cvtoolkit")
