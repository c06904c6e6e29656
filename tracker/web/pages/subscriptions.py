"""Pages about subscriptions."""

from fastapi import APIRouter

router = APIRouter()
