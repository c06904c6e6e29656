"""Exact money: reading amounts as providers write them, currency decimals, conversion with a given rate.

A `Decimal` in major units travels with its ISO 4217 code; the database holds integer millionths (`MICROS`).
Nothing here ever touches a float, and nothing depends on the thread's decimal context.
"""

import re
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact

from tracker.errors import MoneyError

MICROS = 1_000_000
#: BIGINT millionths hold a little over nine trillion; a larger amount is a fault, not a fortune.
LARGEST = Decimal(9_000_000_000_000)
_LARGEST_MICROS = 9_000_000_000_000 * MICROS
#: Minor units of any currency below this are within the limits, whatever their size.
_PLAIN_MINOR = 9_000_000_000_000
#: Digits enough for the largest amount in millionths (19) times a rate of 30 digits, without rounding.
_EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)
# Bound once: a third of the time of `value.scaleb(..., context=...)`, and every amount passes here.
_scaleb = _EXACT.scaleb
_shift = Context(prec=60, Emax=30, traps=[Inexact]).scaleb  # 1E+999999 is not written out

#: ISO 4217 currencies whose minor unit is not a hundredth; in the second row, ended ones.
_DECIMALS = {
    code: places
    for places, codes in (
        (0, "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"),
        (0, "ADP BYR ESP ITL LUF MGF TRL"),
        (3, "BHD IQD JOD KWD LYD OMR TND"),
        (4, "CLF UYW"),
    )
    for code in codes.split()
}

#: Every ISO 4217 code, ended ones included (statements reach back decades); not XXX (none) and XTS (test). Written out
#: because asking babel costs 0.1 s at each start; a test compares the two.
_CODES = """
ADP AED AFA AFN ALK ALL AMD ANG AOA AOK AON AOR ARA ARL ARM ARP ARS ARY ATS AUD AWG AYM AZM AZN BAD BAM BAN BBD BDT
BEC BEF BEL BGJ BGK BGL BGM BGN BGO BHD BIF BMD BND BOB BOL BOP BOV BRB BRC BRE BRL BRN BRR BRZ BSD BTN BUK BWP BYB
BYN BYR BZD CAD CDF CHC CHE CHF CHW CLE CLF CLP CNH CNX CNY COP COU CRC CSD CSJ CSK CUC CUP CVE CYP CZK DDM DEM DJF
DKK DOP DZD ECS ECV EEK EGP ERN ESA ESB ESP ETB EUR FIM FJD FKP FRF GBP GEK GEL GHC GHP GHS GIP GMD GNE GNF GNS GQE
GRD GTQ GWE GWP GYD HKD HNL HRD HRK HTG HUF IDR IEP ILP ILR ILS INR IQD IRR ISJ ISK ITL JMD JOD JPY KES KGS KHR KMF
KPW KRH KRO KRW KWD KYD KZT LAJ LAK LBP LKR LRD LSL LSM LTL LTT LUC LUF LUL LVL LVR LYD MAD MAF MCF MDC MDL MGA MGF
MKD MKN MLF MMK MNT MOP MRO MRU MTL MTP MUR MVP MVQ MVR MWK MXN MXP MXV MYR MZE MZM MZN NAD NGN NIC NIO NLG NOK NPR
NZD OMR PAB PEH PEI PEN PES PGK PHP PKR PLN PLZ PTE PYG QAR RHD ROK ROL RON RSD RUB RUR RWF SAR SBD SCR SDD SDG SDP
SEK SGD SHP SIT SKK SLE SLL SOS SRD SRG SSP STD STN SUR SVC SYP SZL THB TJR TJS TMM TMT TND TOP TPE TRL TRY TTD TWD
TZS UAH UAK UGS UGW UGX USD USN USS UYI UYN UYP UYU UYW UZS VEB VED VEF VES VNC VND VNN VUV WST XAD XAF XAG XAU XBA
XBB XBC XBD XCD XCG XDR XEU XFO XFU XOF XPD XPF XPT XRE XSU XUA YDD YER YUD YUM YUN YUR ZAL ZAR ZMK ZMW ZRN ZRZ ZWC
ZWD ZWG ZWL ZWN ZWR
"""
_CURRENCIES = frozenset(_CODES.split())

_PLAIN = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{1,2})?", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,18}", re.ASCII)


def decimals(currency: str) -> int:
    """Decimals of the currency's minor unit by ISO 4217: 2 for EUR, 0 for JPY, 3 for KWD."""
    return _DECIMALS.get(currency, 2)


def currency_code(text: str) -> str:
    """An upper-case ISO 4217 code. Raises MoneyError for anything that is none."""
    if isinstance(text, str):
        if text in _CURRENCIES:
            return text
        code = text.strip().upper()
        if code in _CURRENCIES:
            return code
    raise MoneyError(f"unknown currency {_shown(text)}", hint="Expected an ISO 4217 code such as EUR.")


def known_currencies() -> frozenset[str]:
    """All ISO 4217 codes, ended ones included."""
    return _CURRENCIES


def exact(value: object) -> Decimal:
    """An amount as JSON gave it: a Decimal, an int, or plain text with a decimal point. A float is refused.

    Raises MoneyError for anything else, for more than six decimals and for absurd sizes.
    """
    if isinstance(value, Decimal):
        return _checked(value)
    if isinstance(value, str):
        text = value.strip()
        if len(text) > 40 or not _PLAIN.fullmatch(text):
            raise MoneyError(f"not an amount: {_shown(text)}")
        value = Decimal(text)
    elif isinstance(value, int) and not isinstance(value, bool):
        value = Decimal(value)
    elif isinstance(value, float):
        raise MoneyError(f"not an exact amount: {_shown(value)}")
    if not isinstance(value, Decimal):
        raise MoneyError(f"not an amount: {_shown(value)}")
    return _checked(value)


def from_minor(value: object, decimals_of_unit: int) -> Decimal:
    """An integer (or integral text) in minor units: 1999 with 2 decimals is 19.99. Raises MoneyError."""
    if type(value) is int and -_PLAIN_MINOR < value < _PLAIN_MINOR and 0 <= decimals_of_unit <= 6:
        return _scaleb(Decimal(value), -decimals_of_unit)  # as nearly every amount; the rest is looked at closely
    if isinstance(value, str) and _WHOLE.fullmatch(value.strip()):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = Decimal(value)
    # Bounded before the test for wholeness, which would write out every digit of 1E+999999.
    if not isinstance(value, Decimal) or not value.is_finite() or value.adjusted() > 24 or _EXACT.remainder(value, 1):
        raise MoneyError(f"not an amount in minor units: {_shown(value)}")
    return _checked(_scaleb(value, -decimals_of_unit))


# An amount inside its frame of sign and currency: "$(1,234.50)", "-5,00 kr", "CHF 5.-".
_DIGITS = re.compile(r"(?:\d|[.,]\d)(?:[\d.,' ]*\d)?(?:[.,]-{1,2})?", re.ASCII)
_LOOKALIKES = str.maketrans({"\u2212": "-", "\u2013": "-", "\u2014": "-", "\u2019": "'", "\u02bc": "'"})
_ABBREVIATION = re.compile(r"\b(rs|kr|fr|sfr)\.", re.IGNORECASE)
_SYMBOL = re.compile(r"(?:[A-Z]{0,3}[$£¥€₹₩₪₺₽₴₦₫฿₱₡₲₵₸₼₾₿؋]|kr|Kr|KR|zł|Kč|Ft|lei|Fr|SFr|RM|Rp|Rs|R|Euro|euro)")
_GROUPED = re.compile(r"\d{1,3}([.,' ])\d{3}(?:\1\d{3})*", re.ASCII)
_GROUPED_INDIAN = re.compile(r"\d{1,2}(?:,\d{2})+,\d{3}", re.ASCII)
_UNSIGNED, _NEGATIVE = frozenset({"#", "+#", "#+"}), frozenset({"-#", "#-", "(#)"})


def parse_localised(text: str, decimal_mark: str | None = None) -> Decimal:
    """An amount as people and statements write it: "1.234,56", "1,234.56", "(12.50)", "12.50-", "1 234,5", "EUR 5".

    `decimal_mark` is "," or "." when the file's locale is known. Without it the last mark decides, and a single mark
    followed by exactly three digits ("1,234") is refused, because it can mean both. Anything besides one number, one
    sign and a currency ("12%", "5k", "12,5O", "3 DR") is refused. Raises MoneyError.
    """
    if decimal_mark not in (None, ",", "."):
        raise ValueError(f"a decimal mark is ',' or '.', not {decimal_mark!r}")
    if len(text) > 60:
        raise MoneyError(f"not an amount: {_shown(text)}")
    body = _ABBREVIATION.sub(r"\1 ", " ".join(text.translate(_LOOKALIKES).split()))
    found = _DIGITS.search(body)
    negative = found and _frame_is_negative(body[: found.start()], body[found.end() :], found[0])
    if found is None or negative is None:
        raise MoneyError(f"not an amount: {_shown(text)}")
    amount = _checked(_unsigned(found[0], decimal_mark, text))
    return amount.copy_negate() if negative and amount else amount


def _frame_is_negative(before: str, after: str, number: str) -> bool | None:
    """Whether sign and brackets around the number make it negative; None when the frame says anything else."""
    words = [re.sub(r"[-+() ]", "", side) for side in (before, after)]
    if any(word and word not in _CURRENCIES and not _SYMBOL.fullmatch(word) for word in words):
        return None
    if number[0] in ".," and words[0][-1:].isalpha():  # "XY.500": is the mark part of the word or of the number?
        return None
    signs = re.sub(r"[^-+()#]", "", f"{before}#{after}")
    return True if signs in _NEGATIVE else False if signs in _UNSIGNED else None


def _unsigned(number: str, decimal_mark: str | None, text: str) -> Decimal:
    body = number.rstrip("-")
    if body != number:  # "5,-" has no hundredths
        whole, fraction = body[:-1], ""
        decimal_mark = decimal_mark or body[-1]
    else:
        decimal_mark = decimal_mark or _decimal_mark(body, text)
        whole, found, fraction = body.partition(decimal_mark)
        if found and not fraction:
            whole = body
    groups = _GROUPED.fullmatch(whole)
    if (groups and groups[1] != decimal_mark) or (decimal_mark == "." and _GROUPED_INDIAN.fullmatch(whole)):
        whole = re.sub(r"[.,' ]", "", whole)
    if not re.fullmatch(r"\d{0,15}", whole, re.ASCII) or not re.fullmatch(r"\d{0,6}", fraction, re.ASCII):
        raise MoneyError(f"not an amount: {_shown(text)}")
    return Decimal(f"{whole or '0'}.{fraction}")


def _decimal_mark(number: str, text: str) -> str:
    dots, commas = number.count("."), number.count(",")
    if dots and commas:
        return "," if number.rfind(",") > number.rfind(".") else "."
    mark = "," if commas else "."
    if dots + commas > 1:
        return "." if mark == "," else ","
    if re.fullmatch(r"[1-9]\d{0,2}[.,]\d{3}", number, re.ASCII):
        raise MoneyError(f"ambiguous amount: {_shown(text)}", hint="Name the decimal mark of the file.")
    return mark


def _shown(value: object) -> str:
    # Sliced before repr(): a provider's text may be megabytes, and an int beyond 4,300 digits refuses to become text.
    if isinstance(value, str):
        return repr(value[:40])
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 10**30 else "a number beyond thirty digits"
    return str(value)[:40] if isinstance(value, Decimal | float | bool | None) else type(value).__name__


def _micros(value: Decimal) -> int | None:
    """Millionths of an amount as the ledger can hold it, else None. Every amount passes here, most of them twice."""
    try:
        shifted = _shift(value, 6)
        micros = int(shifted)
    except (ValueError, ArithmeticError):  # no number, endless, or with more digits than anything that is money
        return None
    return micros if micros == shifted and -_LARGEST_MICROS <= micros <= _LARGEST_MICROS else None


def _checked(value: Decimal) -> Decimal:
    if _micros(value) is not None:
        return value
    if not value.is_finite():
        raise MoneyError(f"not an amount: {value}")
    if value.adjusted() >= 12 and value.copy_abs() > LARGEST:
        raise MoneyError(f"amount out of range: {_shown(value)}")
    raise MoneyError(f"more than six decimals: {_shown(value)}")


def to_micros(value: Decimal) -> int:
    """Integer millionths, exactly. Raises MoneyError beyond six decimals or nine trillion."""
    micros = _micros(value)
    return int(_scaleb(_checked(value), 6)) if micros is None else micros


def from_micros(micros: int) -> Decimal:
    return _scaleb(Decimal(micros), -6)


def convert_micros(micros: int, rate: Decimal) -> int:
    """Millionths of one currency into millionths of another, rounded half-even to a millionth. Raises MoneyError."""
    if not rate.is_finite() or rate <= 0:
        raise MoneyError(f"not a rate: {_shown(rate)}")
    converted = _EXACT.multiply(Decimal(micros), rate)
    if converted.copy_abs() > _LARGEST_MICROS:
        raise MoneyError(f"amount out of range: {micros} millionths at {_shown(rate)}")
    return int(converted.to_integral_value(rounding=ROUND_HALF_EVEN, context=_EXACT))


def plain(value: Decimal | None) -> str | None:
    """A decimal string in major units for JSON and CSV: "12.5" becomes "12.50", "1.2345" stays, None stays None."""
    if value is None:
        return None
    if not value:
        return "0.00"
    whole, _, fraction = f"{value.normalize(_EXACT):f}".partition(".")
    return f"{whole}.{fraction.ljust(2, '0')}"
