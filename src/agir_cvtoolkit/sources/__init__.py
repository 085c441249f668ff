"""Where records come from: the SemiF and Field databases."""

from .paths import Columns, Roots
from .records import RecordSet, read_records, records_of

__all__ = ["Columns", "RecordSet", "Roots", "read_records", "records_of"]
