"""What is seen while something runs: bars, lines, TensorBoard, pictures of validations."""
