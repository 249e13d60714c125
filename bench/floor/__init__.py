"""The least that any implementation on this stack must do, to see what each part of the shop costs above it."""
