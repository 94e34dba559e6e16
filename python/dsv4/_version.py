# The version of the package, that of CMakeLists.txt; a test compares them.
__version__ = "0.2.0"
