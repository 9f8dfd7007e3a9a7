"""Networks of libraries with forwards of this project that compute below float32.

The modules of a library's network are shared or converted in place: pass a copy. Inputs and outputs
are float32.
"""
