"""What detectors read of windows: counts of types, embeddings of texts."""
