"""Pages about the settings."""

from fastapi import APIRouter

router = APIRouter()
