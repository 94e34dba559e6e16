# `python -m dsv4`: the program, found by the package.
from ._program import main

main()
