"""How providers prove that a webhook is theirs: signature schemes as values.

A connector names one, for example `webhook=timestamped("Stripe-Signature")`; whoever receives a request calls
`scheme.verify(headers, body, secret, now)` with the raw body, before parsing it. A scheme is pure: no clock, no
network, no state. What it cannot do is notice a repeated delivery: that is for the upsert by the event's id.

Signatures are compared as text in constant time, in the one spelling that the provider sends (lower-case hex, padded
base64). No message contains a secret, a signature or a header's value.
"""

import hashlib
import hmac
import re
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import parse_qs

import msgspec

from tracker.errors import AuthRejected

Algorithm = Literal["sha256", "sha1", "md5"]
Encoding = Literal["hex", "base64"]

MAX_BODY = 2 * 1024 * 1024
MAX_HEADER = 4096
_MAX_FORM_FIELDS = 500
_SECRET_HINT = "Compare the webhook secret stored for this connection with the one the provider shows."  # noqa: S105
_SHAPE_HINT = "Was the request sent by this provider, and passed on unchanged by the proxies on its way?"


@dataclass(frozen=True, slots=True)
class WebhookScheme:
    """`check` gets the header's value ("" when no `header` is named), the body, the secret and the time."""

    header: str | None
    check: Callable[[str, bytes, bytes, datetime], None]

    def verify(self, headers: Mapping[str, str], body: bytes, secret: str, now: datetime) -> None:
        """Returns when `body`, as it came over the wire, was sent by someone who knows `secret`. `now` is aware.

        Raises AuthRejected when not, when the header is missing, doubled or longer than `MAX_HEADER` characters, when
        the body is longer than `MAX_BODY` bytes, and when there is no secret to check against.
        """
        if not secret:
            raise _refused("no webhook secret is stored for this connection", "Store the one the provider shows.")
        if len(body) > MAX_BODY:
            raise _refused(f"the body is larger than {MAX_BODY} bytes", _SHAPE_HINT)
        value = "" if self.header is None else _only(headers, self.header)
        self.check(value, body, secret.encode(), now)


def body_hmac(
    header: str, *, algorithm: Algorithm = "sha256", encoding: Encoding = "hex", prefix: str = ""
) -> WebhookScheme:
    """A keyed digest of the body alone in `header`, after `prefix`. It has no time in it, so it can be replayed.

    Lemon Squeezy `X-Signature`, hex (docs.lemonsqueezy.com/help/webhooks/signing-requests); WooCommerce
    `X-WC-Webhook-Signature`, base64 (woocommerce.github.io/woocommerce-rest-api-docs); Shopify `X-Shopify-Hmac-SHA256`,
    base64 (shopify.dev/docs/apps/build/webhooks); GitHub `X-Hub-Signature-256`, hex after `sha256=`
    (docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries); Patreon `X-Patreon-Signature`, hex, md5
    (docs.patreon.com).
    """

    def check(value: str, body: bytes, secret: bytes, now: datetime) -> None:
        _match([value], [prefix + _digest(secret, body, algorithm, encoding)], header)

    return WebhookScheme(header, check)


def timestamped(
    header: str,
    *,
    time_key: str = "t",
    digest_key: str = "v1",
    separator: str = ",",
    joiner: str = ".",
    tolerance: timedelta = timedelta(seconds=300),
) -> WebhookScheme:
    """`time=<unix seconds>` and one or more `digest=<hex>` in `header`; HMAC-SHA256 over time, `joiner` and body.

    Several digests come while a secret is rotated: any may match. A delivery more than `tolerance` old or early is
    refused. Stripe `t=…,v1=…` (docs.stripe.com/webhooks); Paddle `ts=…;h1=…` with the joiner ":"
    (developer.paddle.com/webhooks/signature-verification).
    """

    def check(value: str, body: bytes, secret: bytes, now: datetime) -> None:
        sent_at, digests = _parts(value, separator, time_key, digest_key, header)
        if sent_at is None:
            raise _malformed(header)
        _match(digests, [_digest(secret, sent_at.encode() + joiner.encode() + body)], header)
        _fresh(int(sent_at), now, tolerance)

    return WebhookScheme(header, check)


def ghost(header: str = "X-Ghost-Signature", *, tolerance: timedelta = timedelta(seconds=300)) -> WebhookScheme:
    """`sha256=<hex>, t=<unix milliseconds>`: HMAC-SHA256 over the body directly followed by `t`.

    Older versions signed the body alone, with or without a `t` beside it; that is accepted too, and then the time
    proves nothing. Source: TryGhost/Ghost, `services/webhooks/webhook-trigger.js`.
    """

    def check(value: str, body: bytes, secret: bytes, now: datetime) -> None:
        sent_at, digests = _parts(value, ",", "t", "sha256", header)
        accepted = [_digest(secret, body)]
        if sent_at is not None:
            accepted.append(_digest(secret, body + sent_at.encode()))
        _match(digests, accepted, header)
        if sent_at is not None:
            _fresh(int(sent_at) // 1000, now, tolerance)

    return WebhookScheme(header, check)


def secret_header(header: str, *, prefix: str = "") -> WebhookScheme:
    """The secret itself in `header`, after `prefix`. It says nothing about the body: read the object again.

    RevenueCat sends the configured `Authorization` value as it is (www.revenuecat.com/docs/integrations/webhooks).
    """

    def check(value: str, body: bytes, secret: bytes, now: datetime) -> None:
        _match([value], [prefix + secret.decode()], header)

    return WebhookScheme(header, check)


def secret_in_json(field: str, *, form_field: str | None = None) -> WebhookScheme:
    """The secret itself in a top-level text field of a JSON object: the body, or one form field of it.

    Ko-fi: `verification_token` in the form field `data` (ko-fi.com/manage/webhooks).
    """

    def check(value: str, body: bytes, secret: bytes, now: datetime) -> None:
        text = body if form_field is None else _form_value(body, form_field).encode()
        try:
            found = msgspec.json.decode(text, type=dict[str, object]).get(field)
        except (msgspec.DecodeError, ValueError, RecursionError):
            raise _refused("the body is not the JSON object it should be", _SHAPE_HINT) from None
        if not isinstance(found, str):
            raise _refused(f"the body has no text field {field}", _SHAPE_HINT)
        _match([found], [secret.decode()], f"field {field}")

    return WebhookScheme(None, check)


def secret_in_form(field: str) -> WebhookScheme:
    """The secret itself in a field of an `application/x-www-form-urlencoded` body.

    ThriveCart: `thrivecart_secret` (developers.thrivecart.com).
    """

    def check(value: str, body: bytes, secret: bytes, now: datetime) -> None:
        _match([_form_value(body, field)], [secret.decode()], f"field {field}")

    return WebhookScheme(None, check)


def _refused(what: str, hint: str) -> AuthRejected:
    return AuthRejected(f"Webhook refused: {what}.", hint=hint)


def _malformed(header: str) -> AuthRejected:
    return _refused(f"the header {header} is not written as this provider writes it", _SHAPE_HINT)


def _only(headers: Mapping[str, str], name: str) -> str:
    values = [value for key, value in headers.items() if key.lower() == name.lower()]
    if len(values) != 1:
        raise _refused(f"the header {name} is {'there twice' if values else 'missing'}", _SHAPE_HINT)
    if len(values[0]) > MAX_HEADER:
        raise _refused(f"the header {name} is longer than {MAX_HEADER} characters", _SHAPE_HINT)
    return values[0]


def _parts(value: str, separator: str, time_key: str, digest_key: str, header: str) -> tuple[str | None, list[str]]:
    """The one time, as written, and all digests. Pairs with other keys are ignored, as providers add some."""
    pairs = [part.strip().partition("=") for part in value.split(separator)]
    times = [text for key, _, text in pairs if key == time_key]
    digests = [text for key, _, text in pairs if key == digest_key]
    if not digests or len(times) > 1 or not all(re.fullmatch(r"\d{1,16}", text, re.ASCII) for text in times):
        raise _malformed(header)
    return (times[0] if times else None), digests


def _digest(secret: bytes, message: bytes, algorithm: Algorithm = "sha256", encoding: Encoding = "hex") -> str:
    mac = hmac.new(secret, message, getattr(hashlib, algorithm))
    return mac.hexdigest() if encoding == "hex" else b64encode(mac.digest()).decode("ascii")


def _match(given: Iterable[str], accepted: Iterable[str], where: str) -> None:
    """Every pair is compared, so that the time taken does not tell which one matched."""
    wanted = [text.encode() for text in accepted]
    matches = [hmac.compare_digest(text.encode(errors="surrogatepass"), one) for text in given for one in wanted]
    if not any(matches):
        raise _refused(f"the signature in {where} does not match", _SECRET_HINT)


def _fresh(sent_at_s: int, now: datetime, tolerance: timedelta) -> None:
    age_s = int(now.timestamp()) - sent_at_s
    if abs(age_s) > tolerance.total_seconds():
        lag = f"{age_s} s old" if age_s > 0 else f"{-age_s} s from the future"
        limit = int(tolerance.total_seconds())
        raise _refused(f"it is {lag}, at most {limit} s are accepted", "Check the clock of this machine.")


def _form_value(body: bytes, field: str) -> str:
    try:
        form = parse_qs(body.decode(), strict_parsing=True, errors="strict", max_num_fields=_MAX_FORM_FIELDS)
    except ValueError:
        raise _refused("the body is not the form it should be", _SHAPE_HINT) from None
    values = form.get(field, [])
    if len(values) != 1:
        raise _refused(f"the form field {field} is {'there twice' if values else 'missing'}", _SHAPE_HINT)
    return values[0]
