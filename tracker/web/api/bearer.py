"""Who asks: a token in the header `Authorization: Bearer …` (RFC 6750), and nothing else.

No cookie is looked at, so no other web site can use the browser of somebody who is logged in.
"""

from datetime import timedelta
from typing import Annotated

import structlog
from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from tracker import audit, tokens
from tracker.tokens import Bearer, Scope
from tracker.web.api.problems import Refused
from tracker.web.guard import Window
from tracker.web.site import deps_of, sender_of

log = structlog.get_logger()
_scheme = HTTPBearer(
    scheme_name="token",
    bearerFormat="itk_…",
    description="Made on the settings page, or with `tracker token add NAME --scope read`.",
    auto_error=False,
)


def wrong_tokens() -> Window:
    """Counts the wrong tokens of each sender. Right ones are let in all the same: another program on the same address
    may have an old one, and to guess 256 random bits is hopeless however often one may try."""
    return Window(20, timedelta(minutes=15))


def reader(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Security(_scheme)]) -> Bearer:
    """Whoever may read: everybody with a token."""
    if given is None:
        raise Refused(401, "Send a token: Authorization: Bearer itk_…", WWW_Authenticate="Bearer")
    deps, sender = deps_of(request), sender_of(request)
    found = tokens.recognise(deps.engine, given.credentials, deps.now())
    if found is not None:
        return found
    wait_s = request.app.state.wrong_tokens.wait_s(sender, deps.now())
    if wait_s:
        raise Refused(429, f"Too many wrong tokens. Wait {-(-wait_s // 60)} minutes.", Retry_After=str(wait_s))
    log.warning("wrong token", sender=sender)
    told = "This token is unknown, was revoked or has ended."
    raise Refused(401, told, WWW_Authenticate='Bearer error="invalid_token"')


Reader = Annotated[Bearer, Security(reader, scopes=[Scope.READ])]


def writer(token: Annotated[Bearer, Security(reader)]) -> Bearer:
    if not token.may_write:
        told = f"The token {token.name!r} may only read. Make one with the scope write."
        raise Refused(403, told, WWW_Authenticate='Bearer error="insufficient_scope", scope="write"')
    return token


Writer = Annotated[Bearer, Security(writer, scopes=[Scope.WRITE])]


def note(request: Request, token: Bearer, action: str, subject: str) -> None:
    """Write into the audit trail what a program did."""
    deps, actor = deps_of(request), f"token {token.name}"
    audit.record(deps.engine, deps.now(), actor=actor, action=action, subject=subject, sender=sender_of(request))
