"""The spam classifier: features, model, training."""
