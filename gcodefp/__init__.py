"""G-code fingerprinting: which G-code a machine executes, inferred from its sensors alone."""


def __getattr__(name: str) -> str:
    """`__version__`, read when it is asked for."""
    if name == "__version__":
        from importlib.metadata import version

        return version("gcodefp")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
