"""Addresses as they are kept, one way of writing for each: of mail, hosts and networks; and as they are shown."""

import ipaddress
import re

#: One part between dots of what stands before the @ (RFC 5322 and 6531), and of a host name.
_ATOM, _LABEL = r"[\w!#$%&'*+/=?^`{|}~-]+", r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"


def mail_address(text: str) -> str:
    """An address as it is kept: the domain in small letters and IDNA (RFC 5891). Raises ValueError.

    No display name, no quoted text before the @, no line break, which would be another header.
    """
    local, _, domain = text.strip().rpartition("@")
    if not re.fullmatch(rf"{_ATOM}(\.{_ATOM})*", local) or len(local.encode()) > 64:
        raise ValueError("not a mail address")
    return f"{local}@{host_name(domain)}"


def host_name(name: str) -> str:
    """In small letters and IDNA. Raises ValueError."""
    if not name.isascii():
        import idna  # only for the rare case

        name = idna.encode(name, uts46=True).decode()  # its errors are ValueErrors
    name = name.lower()
    if not re.fullmatch(rf"{_LABEL}(\.{_LABEL})*", name) or len(name) > 253:
        raise ValueError("not a host name")
    return name


def ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def neighbourhood(host: str) -> str:
    """Whom an address stands for, where senders are counted: of IPv6 everybody has 64 bits to themselves (RFC 6177)."""
    found = ip(host)
    if not isinstance(found, ipaddress.IPv6Address) or found.ipv4_mapped:
        return host
    return str(ipaddress.IPv6Network((int(found) >> 64 << 64, 64)))


def network(text: str) -> str:
    """An address, or a network such as 172.16.0.0/12. Raises ValueError, also for one that everybody is in."""
    found = ipaddress.ip_network(text)
    if not found.prefixlen:
        raise ValueError("everybody")
    return str(found.network_address) if found.prefixlen == found.max_prefixlen else str(found)


def masked(url: str) -> str:
    """A database or queue address without its passwords, for messages and logs."""
    url = re.sub(r"^([^:]+://[^:@/]*):.*@", r"\1:***@", url)
    return re.sub(r"(?i)(pass\w*=)[^&]*", r"\1***", url)
