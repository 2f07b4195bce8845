"""What tools do besides: command lines, checks of data, scene-shifted copies, the pictures of the docs."""
