"""Faces: detection, alignment, masks, colour and pasting."""
