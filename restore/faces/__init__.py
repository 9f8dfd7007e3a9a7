"""Faces: found, aligned, parsed and pasted back on their own region, so that a face costs what the face's size asks."""
