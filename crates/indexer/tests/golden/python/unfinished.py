import os

class Whole:
    def before(self):
        return 1

    def half(self, a):
        x = a.
        return x

    def between(self):
        """Still found."""
        return 2

    @decorator
    # Nothing is decorated.

def ():
    pass

def after(x):
    return [1, 2

def last(x):
    if x:
