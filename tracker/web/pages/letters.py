"""Pages about letters."""

from fastapi import APIRouter

router = APIRouter()
