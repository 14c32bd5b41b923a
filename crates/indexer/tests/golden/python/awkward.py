#!/usr/bin/env python3
# -*- coding: utf-8 -*-
# Copyright 2020 Somebody.
# All rights reserved.

# A note on the file.

"""The module's
docstring."""

from __future__ import annotations
import functools  # trailing


# A comment above.
# In two lines.
@functools.cache
# Between decorators.
@functools.wraps(lambda x: x)
def decorated(a, b=[lambda: 0]):
    # Before the docstring.
    r'''A raw docstring.'''

    def nested():
        "Short."
        return 1

    class Local(Base):
        def method(self): ...

    return nested


x = 1  # not about the next one
def after_trailing(): pass

# Too far away.

async def coroutine(): return f"{x!r}"


class Generic[T: int](dict[str, T], metaclass=Meta):
    # First in the class.
    '''Class docs.'''

    # About one.
    def one(self) -> None:
        """One's docs.
        """

    @property
    def value(self):
        f"""{self} is no docstring"""
        return self._value

    @value.setter
    def value(self, value):
        b"bytes"
        self._value = value

    if sys.version_info > (3,):
        async def conditional(self):
            async with a as b:
                def in_with(): pass
    else:
        conditional = None

    class Inner:
        """Inner."""
        class Innermost:
            def deep(self): return lambda: 0

    # The last comment in the class.


# About the function, not the class.
def größe(ünï: int) -> "str":
    ("not a docstring")
    ''
    return ünï


try:
    def twin(): pass
except ImportError:
    def twin(): pass
finally:
    def twin(): pass

for i in range(3):
    while True:
        match i:
            case 1:
                def in_case(): pass

type Alias[T] = list[T]
type Plain = int

def concatenated():
    "one " "two"

def one_line(): "Doc."; return 1

def \
    continued(a,
              b): return 1

@overload
def f(a: int) -> int: ...
@overload
def f(a: str) -> str: ...
def f(a): return a

type(f).attribute = type = 1
