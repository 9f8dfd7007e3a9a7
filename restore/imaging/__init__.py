"""Photos: opening, decoding, colour, masks, resizing, encoding and result files."""
