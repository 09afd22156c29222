"""Dynamic client registration as decisions and formats (RFC 7591, RFC 7592); no I/O.

``metadata`` is what we ask for, ``requests`` how it is asked, ``answers`` what came of it, and
``record`` what is kept of it from one command to the next. Who sends and who keeps is told by the
registrar.
"""
