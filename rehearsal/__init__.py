"""The rehearsal: one rotation in real time, judged by parties that other people wrote."""
