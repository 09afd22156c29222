"""The waits that follow for each provider: ``python -m bench.timings`` (in docs/rotation.md)."""

from datetime import timedelta

from machine_identity.providers import NAMES, PROVIDERS
from machine_identity.settings.rotation import contract


def table() -> str:
    """Return the waits as Markdown."""
    rows = [
        "| provider | its cache | publication interval | retire interval |",
        "|---|---|---|---|",
    ]
    for name in NAMES:
        provider = PROVIDERS[name]
        waits = contract(provider)
        cells = (
            f"`{name}`",
            _text(provider.key_set_cache),
            _text(waits.publication_interval()),
            _text(waits.retire_interval),
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def _text(duration: timedelta) -> str:
    minutes = int(duration.total_seconds()) // 60
    return f"{minutes // 60} h {minutes % 60} min"


if __name__ == "__main__":
    print(table())
