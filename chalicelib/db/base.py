"""What every table is made of: the declarative base, constraint names, column types."""

from datetime import datetime
from typing import Annotated, Any, ClassVar
from uuid import UUID

from sqlalchemy import DateTime, LargeBinary, MetaData, Uuid, func
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

HASH_BYTES = 32
"""The length of every hash at rest, all of them SHA-256 or HMAC-SHA-256."""


class Base(DeclarativeBase):
    """A table. Its constraints carry names, so that an error can be told by them."""

    metadata: ClassVar[MetaData] = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        UUID: Uuid(),
        datetime: DateTime(timezone=True),
        bytes: LargeBinary(),
    }


Id = Annotated[UUID, mapped_column(primary_key=True, server_default=func.new_id())]
Timestamp = Annotated[datetime, mapped_column(server_default=func.now())]


class Entity(Base):
    """A table whose rows are named by a UUID v7 that the database makes."""

    __abstract__ = True

    id: Mapped[Id] = mapped_column(sort_order=-2)
    created_at: Mapped[Timestamp] = mapped_column(sort_order=-1)
