"""What is written to those who are invited, in English and in Chinese. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from chassis.languages import CHINESE, ENGLISH
from chassis.mail import Mail
from services.meeting.domain import Meeting
from services.meeting.planning.calendar_file import (
    CANCEL,
    REQUEST,
    Invited,
    meeting_url,
    message,
    plain,
)
from services.meeting.planning.recurrence import Frequency
from services.meeting.planning.schedule import Plan, Scheduled


class Occasion(Enum):
    """Why somebody is written to."""

    INVITED = "invited"
    MOVED = "moved"
    CALLED_OFF = "called_off"
    TAKEN_BACK = "taken_back"


OFF = (Occasion.CALLED_OFF, Occasion.TAKEN_BACK)

_SUBJECTS: Mapping[tuple[Occasion, str], str] = {
    (Occasion.INVITED, ENGLISH): "Invitation: {title}",
    (Occasion.INVITED, CHINESE): "会议邀请：{title}",
    (Occasion.MOVED, ENGLISH): "New time: {title}",
    (Occasion.MOVED, CHINESE): "会议时间变更：{title}",
    (Occasion.CALLED_OFF, ENGLISH): "Cancelled: {title}",
    (Occasion.CALLED_OFF, CHINESE): "会议取消：{title}",
    (Occasion.TAKEN_BACK, ENGLISH): "Invitation withdrawn: {title}",
    (Occasion.TAKEN_BACK, CHINESE): "邀请已撤回：{title}",
}
_FIRST_LINES: Mapping[tuple[Occasion, str], str] = {
    (Occasion.INVITED, ENGLISH): "{host} invites you to a meeting.",
    (Occasion.INVITED, CHINESE): "{host} 邀请您参加会议。",
    (Occasion.MOVED, ENGLISH): "{host} has moved a meeting to which you are invited.",
    (Occasion.MOVED, CHINESE): "{host} 更改了您受邀会议的时间。",
    (Occasion.CALLED_OFF, ENGLISH): "{host} has called off a meeting to which you were invited.",
    (Occasion.CALLED_OFF, CHINESE): "{host} 取消了您受邀的会议。",
    (Occasion.TAKEN_BACK, ENGLISH): "{host} has withdrawn your invitation to a meeting.",
    (Occasion.TAKEN_BACK, CHINESE): "{host} 撤回了对您的会议邀请。",
}
_LABELS = {
    ENGLISH: ("What", "When", "Repeats", "Join", "{host} writes"),
    CHINESE: ("主题", "时间", "重复", "加入", "{host} 留言"),
}
_WEEKDAYS = {
    ENGLISH: ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"),
    CHINESE: ("星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日"),
}
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_REPEATS = {
    ENGLISH: {
        Frequency.DAILY: ("every day", "every {n} days"),
        Frequency.WEEKLY: ("every week", "every {n} weeks"),
        Frequency.MONTHLY: ("every month", "every {n} months"),
        Frequency.YEARLY: ("every year", "every {n} years"),
    },
    CHINESE: {
        Frequency.DAILY: ("每天", "每 {n} 天"),
        Frequency.WEEKLY: ("每周", "每 {n} 周"),
        Frequency.MONTHLY: ("每月", "每 {n} 个月"),
        Frequency.YEARLY: ("每年", "每 {n} 年"),
    },
}


@dataclass(frozen=True, slots=True)
class Writer:
    """Writes letters about a meeting, `scheduled` or not, in the name of `host`."""

    meeting: Meeting
    scheduled: Scheduled | None
    host: str
    sender: str
    public_url: str
    now: datetime

    def letter(self, occasion: Occasion, email: str, language: str, words: str = "") -> Mail:
        """Write to somebody, with words of the host's own; with a calendar's message, if the meeting has a time."""
        title, host = _line(self.meeting.title), _line(self.host)
        what, when, repeats, join, writes = _LABELS[language]
        lines = [_FIRST_LINES[occasion, language].format(host=host), "", f"{what}: {title}"]
        if self.scheduled is not None:
            plan = self.scheduled.schedule.plan
            lines.append(f"{when}: {time_in_words(plan, self.now, language)}")
            if plan.rule is not None:
                lines.append(f"{repeats}: {_repeats(plan, language)}")
        if occasion not in OFF:
            lines.append(f"{join}: {meeting_url(self.public_url, self.meeting)}")
        if said := plain(words).strip():
            lines += [
                "",
                f"{writes.format(host=host)}:",
                *(f"> {each}" for each in said.split("\n")),
            ]
        subject = _SUBJECTS[occasion, language].format(title=title)
        calendar, method = self._calendar(occasion, email)
        return Mail(email, subject, "\n".join(lines) + "\n", calendar, method)

    def _calendar(self, occasion: Occasion, email: str) -> tuple[bytes, str]:
        if self.scheduled is None:
            return b"", ""
        method = CANCEL if occasion in OFF else REQUEST
        invited = Invited(self.sender, self.host, email)
        return message(self.scheduled, self.public_url, method, invited), method


def time_in_words(plan: Plan, now: datetime, language: str) -> str:
    """Say when a meeting is next, on the clock of its zone."""
    start = plan.next_start(now)
    begin, end = start.astimezone(plan.zone), (start + plan.duration).astimezone(plan.zone)
    until = f"{end:%H:%M}" if end.date() == begin.date() else f"{end:%Y-%m-%d %H:%M}"
    weekday = _WEEKDAYS[language][begin.weekday()]
    if language == CHINESE:
        day = f"{begin.year}年{begin.month}月{begin.day}日 {weekday}"
    else:
        day = f"{weekday}, {begin.day} {_MONTHS[begin.month - 1]} {begin.year},"
    return f"{day} {begin:%H:%M} – {until} ({plan.time_zone})"


def _repeats(plan: Plan, language: str) -> str:
    if (rule := plan.rule) is None:
        return ""
    once, often = _REPEATS[language][rule.frequency]
    return once if rule.interval == 1 else often.format(n=rule.interval)


def _line(text: str) -> str:
    return plain(text).replace("\n", " ")


__all__ = ["Occasion", "Writer", "time_in_words"]
