"""What to do about each end that is not a good one."""

from postcopy import known_issues

__all__ = ["astray", "deleted", "failed", "interrupted", "let_go", "unknown"]


def interrupted(server: str, source: str, destination: str) -> str:
    """Return what to do when the guest is half here, half there."""
    crash = known_issues.issue("resume-crash")
    since = ".".join(map(str, crash.since))
    return (
        f"mend the link between {source} and {destination}, then have libvirt resume it at"
        f" {source}: virsh migrate --live --p2p --persistent --undefinesource --postcopy"
        f" --postcopy-resume DOMAIN qemu+tcp://{destination}/system; Nova then finishes by itself."
        f" From libvirt {since} on, {crash.what}; {crash.remedy}. Until then restart nova-compute"
        f" on neither host, and follow it: postcopy attach {server}"
    )


def astray(server: str, source: str, destination: str) -> str:
    """Return what to do when the guest has moved and Nova does not know."""
    return (
        f"do not start, reboot, rebuild or delete {server} through Nova: it would act at {source},"
        f" and could start a second copy. Move the domain back with libvirt (postcopy migrate"
        f" DOMAIN URI-OF-{source} --from URI-OF-{destination}): Nova is right again then. What is"
        f" left over is shown by: nova-manage placement audit --verbose"
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
