"""Every adapter to mmengine: preprocessor, metrics, hooks, checkpoints, and the train and test entry points."""
