"""What is written to people, in English and in Chinese. Pure."""

from __future__ import annotations

from chassis.languages import CHINESE, ENGLISH
from chassis.mail import Mail
from services.user.credentials.rules import Link, Purpose

PATHS = {Purpose.RESET: "reset-password", Purpose.VERIFY: "verify-email"}
"""The app's pages; the token stands behind `#`, which browsers send nobody."""

_TEXTS = {
    (Purpose.RESET, ENGLISH): (
        "Set a new password for Parley",
        (
            "Somebody, probably you, asked for a new password for your account.\n\n"
            "Open this link within one hour to set it; it works once:\n\n{link}\n\n"
            "If it was not you, do nothing: your password stays as it is.\n"
        ),
    ),
    (Purpose.RESET, CHINESE): (
        "重新设置您的 Parley 密码",
        (
            "有人（很可能是您本人）为您的账户申请了新密码。\n\n"
            "请在一小时内打开以下链接进行设置，链接只能使用一次：\n\n{link}\n\n"
            "如果不是您本人的操作，请忽略此邮件，您的密码不会改变。\n"
        ),
    ),
    (Purpose.VERIFY, ENGLISH): (
        "Confirm your e-mail address for Parley",
        (
            "Open this link within one day to confirm that this is your address; it works once:\n\n"
            "{link}\n\nIf you have no account at Parley, do nothing.\n"
        ),
    ),
    (Purpose.VERIFY, CHINESE): (
        "确认您的 Parley 邮箱地址",
        (
            "请在一天内打开以下链接，确认这是您的邮箱地址，链接只能使用一次：\n\n"
            "{link}\n\n如果您没有 Parley 账户，请忽略此邮件。\n"
        ),
    ),
}


def letter(link: Link, token: str, public_url: str, language: str) -> Mail:
    """Write the mail that brings a link to its owner."""
    subject, text = _TEXTS[link.purpose, language]
    address = f"{public_url.rstrip('/')}/{PATHS[link.purpose]}#{token}"
    return Mail(link.email, subject, text.format(link=address))


__all__ = ["PATHS", "letter"]
