"""Pages about single earnings."""

from fastapi import APIRouter

router = APIRouter()
