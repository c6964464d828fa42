"""What is kept between runs, in one SQLite file, and how it is forgotten."""

from llmrec.store.file import SCHEMA_VERSION
from llmrec.store.forgetting import Forgotten
from llmrec.store.store import PersonSummary, Store, UnreadableRecordError, content_hash

__all__ = ["SCHEMA_VERSION", "Forgotten", "PersonSummary", "Store", "UnreadableRecordError", "content_hash"]
