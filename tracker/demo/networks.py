"""The networks that the sandbox plays besides the five providers of the demo's story: a module each, entered here."""

from collections.abc import Mapping
from typing import ClassVar, Protocol

from tracker.demo.adcell import Adcell
from tracker.demo.admitad import Admitad
from tracker.demo.adtraction import Adtraction
from tracker.demo.clickbank import ClickBank
from tracker.demo.daisycon import Daisycon
from tracker.demo.digistore24 import Digistore24
from tracker.demo.ebay import Ebay
from tracker.demo.exchange import Provider
from tracker.demo.facts import History
from tracker.demo.firstpromoter import FirstPromoter
from tracker.demo.flexoffers import FlexOffers
from tracker.demo.impact import Impact
from tracker.demo.partnerize import Partnerize
from tracker.demo.partnerstack import PartnerStack
from tracker.demo.rakuten import Rakuten
from tracker.demo.rewardful import Rewardful
from tracker.demo.skimlinks import Skimlinks
from tracker.demo.tapfiliate import Tapfiliate
from tracker.demo.tradedoubler import Tradedoubler
from tracker.demo.tradetracker import TradeTracker
from tracker.demo.webgains import Webgains


class Network(Provider, Protocol):
    """One that says what its keys are like as well. `rate`: calls a caller may make in so many seconds.

    `keys` makes valid credentials, by the field names of the connector, out of 96 hexadecimal digits.
    """

    rate: ClassVar[tuple[int, float]]

    def __init__(self, history: History, keys: Mapping[str, str]) -> None: ...
    @staticmethod
    def keys(digest: str) -> dict[str, str]: ...


PLAYED: Mapping[str, type[Network]] = {
    "impact": Impact,
    "partnerize": Partnerize,
    "tradedoubler": Tradedoubler,
    "firstpromoter": FirstPromoter,
    "clickbank": ClickBank,
    "rakuten": Rakuten,
    "skimlinks": Skimlinks,
    "partnerstack": PartnerStack,
    "digistore24": Digistore24,
    "rewardful": Rewardful,
    "ebay-partner-network": Ebay,
    "webgains": Webgains,
    "admitad": Admitad,
    "adcell": Adcell,
    "tapfiliate": Tapfiliate,
    "daisycon": Daisycon,
    "adtraction": Adtraction,
    "flexoffers": FlexOffers,
    "tradetracker": TradeTracker,
}
