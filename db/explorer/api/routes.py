"""The JSON interface: all routes below `/api/v1`."""

from fastapi import APIRouter

from db.explorer.api.crystals import router as crystals
from db.explorer.api.export import router as export
from db.explorer.api.records import router as records
from db.explorer.api.searches import router as searches

router = APIRouter(prefix="/api/v1")
for _part in (searches, export, crystals, records):
    router.include_router(_part)
