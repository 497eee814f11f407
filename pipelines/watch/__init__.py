"""A job from outside: ``status``, ``pause``, ``resume``, ``stop``, and its progress."""
