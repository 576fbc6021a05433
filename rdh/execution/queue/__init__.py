"""The queue: which runs wait, which run, and which states may follow one another."""
