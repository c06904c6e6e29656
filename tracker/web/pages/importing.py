"""Pages about the import of statements."""

from fastapi import APIRouter

router = APIRouter()
