"""Invented customers. Their names and addresses are here so that a test can prove they are never stored."""

import random
from datetime import datetime

from tracker.demo.chance import token
from tracker.demo.facts import Person

_FIRST = (
    "Ada",
    "Bela",
    "Cosima",
    "Dario",
    "Edda",
    "Fiete",
    "Greta",
    "Hauke",
    "Ilka",
    "Jonte",
    "Kaja",
    "Levin",
    "Marit",
    "Nils",
    "Odile",
    "Piet",
    "Quirin",
    "Runa",
    "Silke",
    "Tilda",
    "Ulla",
    "Veit",
    "Wanda",
    "Xaver",
    "Yara",
    "Zeno",
    "Bram",
    "Elin",
    "Ines",
    "Marlow",
)
_LAST = (
    "Ackerfeld",
    "Birkholt",
    "Crossbeck",
    "Dornbusch",
    "Eschenau",
    "Fennimoor",
    "Grauwinkel",
    "Heidebrink",
    "Iversund",
    "Jaspersen",
    "Kestrelby",
    "Lindqvest",
    "Moorhaven",
    "Nettlefold",
    "Osterwald",
    "Pennigrove",
    "Quellmann",
    "Rabenhorst",
    "Stillwater",
    "Thornquist",
)
_COUNTRIES = ("DE",) * 10 + ("AT", "AT", "CH", "NL", "FR", "GB", "US", "US", "US", "US")


def person(rng: random.Random, number: int, joined: datetime) -> Person:
    first, last = rng.choice(_FIRST), rng.choice(_LAST)
    return Person(
        number=number,
        customer_id=f"cus_{token(rng, 14)}",
        name=f"{first} {last}",
        email=f"{first}.{last}.{number}@post.example".lower(),
        country=rng.choice(_COUNTRIES),
        joined=joined,
    )
