"""Where a domain is, as the lab's two libvirts say."""

import asyncio
from collections.abc import Mapping

from postcopy.bench.faults.floor import Copy, Sight
from postcopy.errors import PostcopyError
from postcopy.lab.host import Host

__all__ = ["look_for"]

_ANSWER_SECONDS = 10.0


async def look_for(hosts: Mapping[str, Host], uuid: str) -> Sight:
    """Look for a domain at both. One that does not answer is an answer."""
    told = await asyncio.gather(*(_ask(host, uuid) for host in hosts.values()))
    found = dict(zip(hosts, told, strict=True))
    copies, wrong, settled = [], [], True
    running = [host for host, seen in found.items() if seen and seen["State"] == "running"]
    for host, seen in found.items():
        if seen is None:
            continue
        state, reason = seen["State"], seen["Reason"]
        if state != "shut off":
            copies.append(Copy(host, f"{state} ({reason})", state == "running"))
        settled = settled and not ("post-copy" in reason or state in ("paused", "no answer"))
        if host not in running:
            wrong.append(f"it is defined on {host} still, {state}")
        elif seen["Persistent"] != "yes":
            wrong.append(f"it runs on {host} and is not defined there")
    return Sight(tuple(copies), "; ".join(wrong), settled)


async def _ask(host: Host, uuid: str) -> Mapping[str, str] | None:
    """Return what a daemon says of the domain; None where it knows of none."""
    try:
        info = await host.run("virsh", "dominfo", uuid, check=False, timeout=_ANSWER_SECONDS)
        state = await host.run(
            *("virsh", "domstate", "--reason", uuid), check=False, timeout=_ANSWER_SECONDS
        )
    except PostcopyError as error:
        return {"State": "no answer", "Reason": error.message, "Persistent": ""}
    if "failed to get domain" in info.stderr:
        return None
    if info.returncode or state.returncode:
        said = (info.stderr + state.stderr).strip()
        return {"State": "no answer", "Reason": said, "Persistent": ""}
    lines = (line.partition(":") for line in info.stdout.splitlines())
    told = {key.strip(): value.strip() for key, _, value in lines}
    reason = state.stdout.partition("(")[2].partition(")")[0]
    return {"State": told["State"], "Reason": reason, "Persistent": told["Persistent"]}
