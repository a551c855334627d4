"""Compiled loops. When one must be compiled, which happens once, the log says so."""

from speechkit.kernels import notice

notice.watch()
