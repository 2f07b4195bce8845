"""Detection in videos that nobody annotated: files of any length, cameras."""
