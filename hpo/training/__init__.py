"""The shared objective: a small neural network trained on synthetic data, every technique a hyperparameter."""
