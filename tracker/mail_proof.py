"""A mail that proves the settings of the mail server: to everybody who gets letters, about nothing."""

from datetime import datetime
from html import escape
from secrets import token_hex

from tracker import mail
from tracker.catalogues import catalogue
from tracker.errors import ConfigError
from tracker.letter import SENDER, Letter
from tracker.settings import Settings


def send_proof(settings: Settings, now: datetime, subject: str, text: str, language: str = "en") -> tuple[str, ...]:
    """Hand it over once to each recipient of letters, and answer them. Raises ConfigError and what `mail.send` does."""
    if lacking := mail.lacking(settings):
        raise ConfigError(f"no mail can be sent without {', '.join(lacking)}.", hint="Fill in what is missing.")
    sender = settings.letter_from or ""
    letter = Letter(
        subject=subject,
        text=text + "\n",
        html=f'<!doctype html><html lang="{language}"><title>{escape(subject)}</title><p>{escape(text)}</p></html>\n',
        language=language,
        sender=str(catalogue("letters", language).get(SENDER, SENDER)),
    )
    for recipient in settings.letter_to:
        message = mail.compose(
            letter,
            sender=sender,
            recipient=recipient,
            message_id=f"<proof-{token_hex(8)}@{sender.rpartition('@')[2]}>",
            date=now.astimezone(settings.zone),
        )
        mail.send(message, settings)
    return settings.letter_to
