"""Device, memory, tiling and checks of network outputs."""
