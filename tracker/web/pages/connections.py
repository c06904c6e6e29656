"""Pages about connections."""

from fastapi import APIRouter

router = APIRouter()
