"""Test sets whose scene lies, made of any data set: its actors on other scenes, or the one without the other."""
