"""The life of keys: a run of months over the embedded stack, its record, and its picture."""
