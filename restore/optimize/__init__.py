"""Networks for a GPU: below float32 where their arithmetic allows it, and in forms that compilers and CUDA graphs take."""
