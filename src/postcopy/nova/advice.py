"""What to do about each end that is not a good one."""

__all__ = ["astray", "deleted", "failed", "interrupted", "let_go", "unknown"]


def interrupted(server: str, source: str, destination: str) -> str:
    """Return what to do when the guest is half here, half there."""
    return (
        f"restart nova-compute on neither host; once the link between {source} and {destination} is"
        f" mended: postcopy recover {server} --os-cloud NAME --source-uri"
        " 'qemu+ssh://{host}/system'. Nova then finishes by itself"
    )


def astray(server: str, source: str, destination: str) -> str:
    """Return what to do when the guest has moved and Nova does not know."""
    return (
        f"do not start, reboot, rebuild or delete {server} through Nova: it would act at {source},"
        f" and could start a second copy. Which records are wrong, and what mends them: postcopy"
        f" recover {server} --os-cloud NAME --source-uri 'qemu+ssh://{{host}}/system'. Or move the"
        f" domain back with libvirt (postcopy migrate DOMAIN URI-OF-{source} --from"
        f" URI-OF-{destination}): then Nova's are right again"
    )


def let_go(server: str, source: str, destination: str) -> str:
    """Return what to do when Nova no longer follows, and no libvirt was asked."""
    return (
        f"look before anything else: virsh list --all on {source} and on {destination}; or"
        f" postcopy attach {server} --source-uri 'qemu+ssh://{{host}}/system'. If the guest is at"
        f" {destination}, do not start or reboot it through Nova"
    )


def deleted(server: str) -> str:
    """Return what to do when the server was deleted meanwhile."""
    return f"if that was not meant: openstack server event list {server} says who did it"


def failed(source: str) -> str:
    """Return what to do when Nova has rolled it back."""
    return f"the guest goes on at {source}; more is in nova-compute's log there"


def unknown(server: str, source: str, destination: str) -> str:
    """Return what to do when nobody can say."""
    return (
        f"look at virsh list --all on {source} and on {destination or 'the destination'} before"
        f" doing anything else, then: postcopy attach {server}"
    )
