"""Pages about rows that nobody understood."""

from fastapi import APIRouter

router = APIRouter()
