"""Pages about payouts."""

from fastapi import APIRouter

router = APIRouter()
