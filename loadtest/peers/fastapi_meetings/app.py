"""The yardstick of loadtest/bench_api.py: one endpoint of Parley's, as one would ordinarily write it with FastAPI.

Runs in an environment of its own (requirements.txt). `DATABASE_URL` is SQLAlchemy's, `JWKS_URL` has the keys of the
access tokens.
"""

# mypy: ignore-errors
# Its libraries are not the project's, so that the project's mypy can't see them.

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated
from uuid import UUID

import jwt
from fastapi import Depends, FastAPI, HTTPException, Request, status
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel
from sqlalchemy import DateTime, ForeignKey, func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_async_engine(os.environ["DATABASE_URL"], pool_size=10, max_overflow=0)
new_session = async_sessionmaker(engine, expire_on_commit=False)
bearer = HTTPBearer()


class Base(DeclarativeBase):
    """The tables (schema.sql)."""

    type_annotation_map = {datetime: DateTime(timezone=True)}  # noqa: RUF012  # SQLAlchemy's own form


class MeetingRow(Base):
    """A meeting."""

    __tablename__ = "meetings"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    title: Mapped[str]
    description: Mapped[str]
    host_id: Mapped[UUID]
    state: Mapped[str]
    passcode: Mapped[str]
    capacity: Mapped[int]
    locked: Mapped[bool]
    voice_activity: Mapped[bool]
    create_time: Mapped[datetime]
    update_time: Mapped[datetime]
    start_time: Mapped[datetime | None]
    end_time: Mapped[datetime | None]
    revision: Mapped[int]


class ParticipantRow(Base):
    """A participant."""

    __tablename__ = "participants"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    meeting_id: Mapped[UUID] = mapped_column(ForeignKey("meetings.id"))
    state: Mapped[str]


class Meeting(BaseModel):
    """A meeting, as it is shown: the JSON of parley.meeting.v1.Meeting."""

    name: str
    title: str
    description: str
    host: str
    state: str
    passcode: str
    passcode_required: bool
    capacity: int
    locked: bool
    participant_count: int
    create_time: datetime
    update_time: datetime
    start_time: datetime | None = None
    end_time: datetime | None = None
    etag: str
    voice_activity: bool


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Fetch the keys of the access tokens at start."""
    keys = jwt.PyJWKClient(os.environ["JWKS_URL"]).get_signing_keys()
    app.state.keys = {key.key_id: key for key in keys}
    yield
    await engine.dispose()


app = FastAPI(lifespan=lifespan)


async def current_user(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials, Depends(bearer)]
) -> str:
    """Verify the access token; gives the user's id."""
    token = credentials.credentials
    try:
        key = request.app.state.keys[jwt.get_unverified_header(token)["kid"]]
        claims = jwt.decode(token, key, algorithms=["EdDSA"], audience="parley", issuer="parley")
    except (KeyError, jwt.InvalidTokenError):
        raise HTTPException(status.HTTP_401_UNAUTHORIZED) from None
    return claims["sub"].removeprefix("users/")


async def session() -> AsyncIterator[AsyncSession]:
    """Open a database session for the request."""
    async with new_session() as opened:
        yield opened


CONNECTED = (
    select(func.count())
    .where(ParticipantRow.meeting_id == MeetingRow.id, ParticipantRow.state == "connected")
    .correlate(MeetingRow)
    .scalar_subquery()
)


@app.get("/api/v1/meetings/{code}", response_model_exclude_none=True)
async def get_meeting(
    code: str,
    user: Annotated[str, Depends(current_user)],
    database: Annotated[AsyncSession, Depends(session)],
) -> Meeting:
    """Read a meeting; its passcode is for the host alone."""
    found = await database.execute(select(MeetingRow, CONNECTED).where(MeetingRow.code == code))
    if (row := found.one_or_none()) is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND)
    meeting, connected = row
    return Meeting(
        name=f"meetings/{meeting.code}",
        title=meeting.title,
        description=meeting.description,
        host=f"users/{meeting.host_id}",
        state=f"MEETING_STATE_{meeting.state.upper()}",
        passcode=meeting.passcode if str(meeting.host_id) == user else "",
        passcode_required=bool(meeting.passcode),
        capacity=meeting.capacity,
        locked=meeting.locked,
        participant_count=connected,
        create_time=meeting.create_time,
        update_time=meeting.update_time,
        start_time=meeting.start_time,
        end_time=meeting.end_time,
        etag=f'"{meeting.revision}"',
        voice_activity=meeting.voice_activity,
    )
