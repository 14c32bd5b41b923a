"""Docs."""

# About f.
@d
def f(
    a,
):
    """Of f.

    More.
    """
    return a


class A:
	def m(self):
		pass

# Too far.

def g(): pass
