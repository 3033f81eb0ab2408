"""What the media library needs to know."""

from __future__ import annotations

from dataclasses import dataclass

from chassis.config import ServiceConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(ServiceConfig):
    """`object_store` is file:///path or s3://bucket/prefix; the `s3_…` may be left to the environment, as AWS's tools read it.

    `quota_bytes` is what one user's files may take up together, `upload_limit_bytes` what one file may.
    """

    database_url: str
    object_store: str
    s3_endpoint: str = ""
    s3_region: str = ""
    s3_access_key: str = ""
    s3_secret_key: str = ""
    quota_bytes: int = 10 * 1024**3
    upload_limit_bytes: int = 1024**3
