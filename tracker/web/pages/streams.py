"""Pages about the streams."""

from fastapi import APIRouter

router = APIRouter()
