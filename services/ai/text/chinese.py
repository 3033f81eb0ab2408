"""How decisions and tasks are put in Chinese, simplified."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from services.ai.text.cues import Cues, Task, one_of
from services.ai.text.sentences import HAN

_NUMBER = r"[一二两三四五六七八九十\d]{1,3}"
_DAY = r"(?:本|这|下+个?)?(?:周|星期|礼拜)[一二三四五六日天末]"
_PART = r"(?:的?(?:早上|上午|中午|下午|傍晚|晚上|下班))?"
_CLOCK = rf"(?:{_NUMBER}点(?:半|钟)?)"
_EDGE = r"(?:之前|以前|前|之内|以内|内)?"
_WHEN = (
    rf"(?:(?:{_DAY}|大后天|今天|明天|后天|今晚|明晚|今早|明早|(?:本|这|下)个?(?:周|星期|月|季度)[初中末底内]?|月底|月初|月中|年底|季度末"
    rf"|{_NUMBER}月(?:{_NUMBER}[日号]|底|初|中旬)|{_NUMBER}号){_PART}{_CLOCK}?|(?:早上|上午|中午|下午|晚上){_CLOCK})"
)
_DUE = re.compile(
    rf"{_WHEN}{_EDGE}|{_NUMBER}(?:个?工作日|天|周|个月|个?小时|个?星期|分钟)(?:之内|以内|内|之后|后)"
    r"|(?:下班|会议|评审|上线|发布|开会|下次会|演示|放假|节)(?:之前|以前|前)"
)

_VERB = (
    "(?:发|写|整理|准备|联系|跟进|跟一下|确认|检查|更新|修|改|完成|做|提交|提|安排|预订|预定|订|约|通知|汇总|处理|测|部署|上线|对接|沟通|协调|调研|评估"
    "|设计|搭|建|开发|实现|给|把|将|找|查|核对|核实|审|起草|拟|出一|出个|补|拉|打电话|打个电话|回复|回邮件|组织|负责|统计|收集|翻译|买|报名|盯|推|落实"
    "|排查|优化|交|报|问|跑|画|列|梳理|验证|弄|搞|申请|签|招|面试|演示|录|传|上传|合并|迁移|跟)"
)
_SOON = rf"(?:(?:来|去|会|要|得|再|先|就|也|可以|能|马上|立刻|回头|稍后|待会儿?|尽快|尽量|负责|帮忙|帮|继续|争取|这边|那边|会后|散会后|下来|之后|后面|{_WHEN}{_EDGE})[，,]?)"
_WILL = rf"(?:来|会|去|要|得|可以|马上|立刻|回头|稍后|待会儿?|尽快|负责|继续|争取|会后|散会后|下来|{_WHEN}{_EDGE})"
_ASKS = "(?:能不能|可不可以|能否|可否|是否可以|麻烦|请|务必|记得|需要|应该|必须|" + _SOON[3:]

_NO_TASKS = re.compile(
    r"我(?:先|就|再)?来?(?:说|讲|介绍|分享|补充|回答|问一?下|看看|看一下|总结|念|解释|演示一下|共享)"
    r"|(?:跟|和|给|向)(?:大家|你们|各位)(?:先|再|简单)?(?:说|讲|介绍|分享|汇报|同步|演示|看)|我(?:要|得|再|想)?(?:问|提)(?:个|一个|一下)"
)
_OWN = re.compile(
    rf"我(?:们?这边)?{_SOON}*{_WILL}[，,]?{_SOON}*{_VERB}|(?:交给我|包在我身上|由我(?:来|负责)|我来(?:吧|负责|弄|做|搞|跟|处理|办)|我负责|这个我来)"
)
_OURS = re.compile(rf"(?:我们|咱们|大家|各位|每个人|所有人)(?:都|一起)?{_ASKS}*{_VERB}")
_ASKED = re.compile(rf"(?:请|麻烦|辛苦|拜托)?[你您]{_ASKS}*{_VERB}|^(?:请|麻烦){_ASKS}*{_VERB}")
_MARKED = re.compile(r"(?:待办|行动项|下一步|todo)(?:是|：|:|，|事项)", re.IGNORECASE)

_TITLED = "(?!大家|各位)[\u4e00-\u9fff](?:总|工|经理|老师|主任|博士|同学|姐|哥)"
_NICK = "小(?![时组程心结事量型学数区说图票伙朋])[\u4e00-\u9fff]|老(?![板师客是样版系婆公年实])[\u4e00-\u9fff]|阿(?![姨拉])[\u4e00-\u9fff]"

_DECISIONS = re.compile(
    r"(?<!没)(?<!没有)决定(?!权|性|于|因素|[吗么？?])|(?:大家|我们|咱们|全员|一致)(?:都|一致|全部)*(?:同意|通过)(?!吗)|(?<![一肯规固稳假指鉴设特制约否确决预没未])定(?:了|下来|在|为|成)"
    r"|就(?:这么|这样)(?:定|办|做|来)|我们就(?:先)?(?:用|选|按|做|走|推迟|取消|不|在|从|以)|(?:那就?|就)先?(?:定|选|采用|推迟|取消)|那就先?(?:用|按|走|不|改)|敲定|(?<!不)(?<!没)确定(?:了|下来|用|采用|在|为)"
    r"|拍板|达成了?(?:一致|共识)|结论(?:是|就是)|(?:方案|预算|提案|申请)(?:已经)?(?:通过|批)了"
)
_NO_DECISIONS = re.compile(
    r"(?:还没|没有?|还未|尚未|并未|未)(?:能|有)?(?:完全|最终|正式|最后)?(?:决定|定|确定|敲定|达成|同意|拍板)|(?:需要|要不要|等|待|有待|怎么|如何|谁来?|由谁|无法|不能|没法|难以|能否|是否"
    r"|如果|假如|要是|之前)[^，。,]{0,12}(?:决定|定下来|定了|确定|敲定|同意|拍板)|(?:吗|呢)[？?。]?$|[？?]$|再(?:做)?决定|不确定"
)
_POINTS_BACK = re.compile(r"这样|这么|这个|那个|第[一二三]个|它|同意|就定|定了|交给我|我来|我负责")
_YES = re.compile(r"^(?:好|可以|没问题|行|嗯|OK|ok|收到|明白|我来|没事|当然|交给我|了解|是的|对)")
_NO = re.compile(
    r"^(?:不行|不了|没空|不好意思|抱歉|恐怕|我不|我没|不太|可能不|没办法|没时间|行不了)"
)


class Chinese:
    """Cues of Chinese. `names` are those who spoke."""

    def __init__(self, names: Sequence[str]) -> None:
        known = one_of({each for name in names for each in _called(name)})
        named = rf"(?P<name>{known + '|' if known else ''}{_NICK}|{_TITLED})"
        self._named = [
            re.compile(rf"(?:请|麻烦|让|由|辛苦|拜托){named}[，,]?[你您]?{_ASKS}*{_VERB}"),
            re.compile(
                rf"(?:^|[，。,；;、:：\s]|那就?|然后|就){named}[，,\s]?[你您]?{_ASKS}*{_VERB}"
            ),
            re.compile(rf"(?:交给|分给|派给){named}"),
        ]

    def decides(self, text: str) -> bool:
        """Whether something is decided."""
        return bool(_DECISIONS.search(text)) and not _NO_DECISIONS.search(text)

    def points_back(self, text: str) -> bool:
        """Whether it means what was said before it."""
        return len(text) <= 8 and bool(_POINTS_BACK.search(text))

    def accepts(self, text: str) -> bool:
        """Whether it says yes."""
        return bool(_YES.search(text)) and not self.refuses(text)

    def refuses(self, text: str) -> bool:
        """Whether it says no."""
        return bool(_NO.search(text))

    def due(self, text: str) -> str:
        """Find by when, as it was said; what has an edge goes before other times."""
        found = [match[0] for match in _DUE.finditer(text)]
        edged = [each for each in found if each.endswith(("前", "内"))]
        return (edged or found or [""])[0]

    def task(self, text: str) -> Task | None:
        """Find out whether a sentence gives somebody something to do."""
        if _NO_TASKS.search(text):
            return None
        for pattern in self._named:
            if found := pattern.search(text):
                return Task(found["name"], is_asked=text.endswith(("?", "？", "吗", "吗。")))
        if _OWN.search(text) and not text.endswith(("?", "？")):
            return Task(is_own=True)
        if _ASKED.search(text):
            return Task(is_asked=True)
        is_due = bool(_OURS.search(text) and self.due(text)) and not text.endswith(("?", "？"))
        return Task() if is_due or _MARKED.search(text) else None


def _called(name: str) -> Iterator[str]:
    """What somebody is called: the whole name, and one of three signs without the family's."""
    yield name
    if len(name) == 3 and all(map(HAN.match, name)):
        yield name[1:]


_: type[Cues] = Chinese

__all__ = ["Chinese"]
