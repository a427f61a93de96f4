"""Training loops. Everything in this room needs the extra ``train``; scoring needs none of it."""
