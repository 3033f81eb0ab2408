"""How decisions and tasks are put in English."""

from __future__ import annotations

import re
from collections.abc import Sequence

from services.ai.text.cues import Cues, Task, one_of


def _flat(pattern: str) -> str:
    """Take a pattern's line breaks and their indentation out."""
    return re.sub(r"\s*\n\s*", "", pattern)


_VERBS = r"""
    add|address|align with|announce|answer|approve|arrange|ask|assign|audit|backport|benchmark|block|book|bring|build|buy
    |call|cancel|change|chase|check|clean|clarify|close|collaborate|collect|come back|compile|complete|confirm|contact
    |coordinate|copy|create|deal with|debug|delete|deliver|demo|deploy|design|dig|do|document|double[- ]check|draft|draw
    |e-?mail|escalate|estimate|explore|export|figure out|file|fill|finali[sz]e|find|finish|fix|follow up|forward|gather
    |get (?:back|in touch|the|a|an|you|it|that|them|us|approval|feedback|quotes?)|give|handle|hire|implement|improve
    |include|inform|install|interview|investigate|invite|keep an eye|launch|lead|list|look (?:at|into|for|up)|make
    |measure|meet with|merge|message|migrate|monitor|move|notify|order|organi[sz]e|outline|own|patch|pay|pick up|ping
    |plan|post|prepare|present|print|prioriti[sz]e|produce|profile|propose|prototype|provide|publish|pull|push|put
    |raise|reach out|record|redo|refactor|release|remind|remove|renew|replace|reply|report|reproduce|request|research
    |reserve|resolve|respond|restart|review|revise|rewrite|roll|run|schedule|send|set|share|ship|sign|sketch|sort
    |speak (?:to|with)|spin up|start|submit|summari[sz]e|sync with|take|talk (?:to|with)|tell|test|tidy|track|translate
    |try|turn|update|upgrade|upload|validate|verify|visit|walk|work (?:on|with)|wrap up|write
"""
_VERB = rf"(?:{_flat(_VERBS)})\b"
_SOON = r"(?:(?:please|just|also|then|definitely|probably|personally|happily|quickly|kindly|still|try to|try and|go ahead and|go and|maybe|help(?: us| me)?(?: to)?|be the one to)\s+)*"
_MUST = r"(?:will|'ll|'m going to|am going to|is going to|are going to|'re going to|'m gonna|need to|needs to|have to|has to|'ve got to|should|must|can)"
_ASKS = r"(?:can|could|would|will)\s+you"
_NO_TASKS = re.compile(
    _flat(r"""\b(?:share (?:my|the) screen|ask (?:a|one|you|everyone)\b|(?:add|make) (?:a|one|to)\b(?: \w+)? (?:thing|point|that|this)
    |call (?:it|that|this)\b|put it (?:this|that|another)|give (?:you |everyone |people |us )?(?:some|a bit|a quick|a little|more|an? (?:example|idea|sense|second|minute|overview))
    |start (?:with|by|off|the meeting)|tell you|try to be|run (?:through|late|out)|turn (?:it|this) over|take (?:a (?:look|minute|second|break|step)|one second)
    |move on|do (?:my|our) best|keep (?:it|this) (?:short|brief)|finish (?:my|this|that) (?:point|thought|sentence)|answer that
    |turn (?:on|off) (?:my|your)|see (?:you|if)|you (?:hear|see))"""),
    re.IGNORECASE,
)

_DAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
_MONTH = r"(?:jan(?:uary)?|feb(?:ruary)?|march|april|may|june|july|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
_CLOCK = r"(?:\d{1,2}(?::\d\d)?\s*(?:[ap]\.?m\b\.?|o'clock)|\d{1,2}:\d\d|noon|midnight)"
_PART = r"(?:\s+(?:morning|afternoon|evening|night))?"
_COUNT = r"(?:an?|one|two|three|four|five|six|ten|\d+|a few|a couple of)"
_UNIT = r"(?:minutes?|hours?|(?:working |business )?days?|weeks?|months?)"
_EVENT = r"(?:the |our |this |next )*(?:next )?(?:meeting|demo|launch|release|call|deadline|weekend|lunch|stand-?up|review|retro|holidays?|offsite|sprint)"
_WHEN = _flat(rf"""(?:(?:the )?(?:end|middle|beginning|start) of (?:the |this |next )?(?:day|week|month|quarter|year|sprint|{_DAY}|{_MONTH})
    |eod\b|eow\b|cob\b|close of business|(?:later |early |late )?(?:this|next|the coming) (?:week|month|quarter|sprint|morning|afternoon|evening|{_DAY}){_PART}
    |the day after tomorrow|tomorrow{_PART}|(?:today|tonight)(?!'s)|{_DAY}{_PART}(?!'s|s\b)(?: at {_CLOCK})?|{_CLOCK}
    |{_MONTH} (?:the )?\d{{1,2}}(?:st|nd|rd|th)?\b|\d{{1,2}}(?:st|nd|rd|th)? (?:of )?{_MONTH}\b|the \d{{1,2}}(?:st|nd|rd|th)\b)""")
_DUE_BY = re.compile(
    rf"\b(?:by|due|no later than) (?:on )?(?P<bare>{_WHEN}|{_EVENT}\b)|\b(?P<whole>(?:before|until) (?:{_WHEN}|{_EVENT}\b)|(?:within|in) (?:the next )?{_COUNT} {_UNIT}\b)",
    re.IGNORECASE,
)
_DUE_ON = re.compile(rf"\b(?P<bare>{_WHEN})|\b(?P<whole>after (?:{_EVENT}\b))", re.IGNORECASE)

_DECIDED = r"(?:decided|agreed|settled|concluded|chosen|approved|signed off)"
_CHOOSE = r"(?:go (?:ahead )?with|go for|stick (?:with|to)|stay with|settle on|use|pick|choose|adopt|drop|postpone|cancel|delay|push|keep|switch|ship|launch|freeze|move (?!on\b|forward|to the next)|make it|call it|do (?:that|it|this)\b|hold off|not\b|stop|skip|leave it at|agree)"
_DECISIONS = re.compile(
    _flat(rf"""\b(?:we|they|everyone|the (?:team|board|group|committee))(?:'ve| have| has| had)? (?:all |both |just |now |already |then |finally |also )*(?:{_DECIDED}|voted|chose)\b
    |\blet's (?:just |then |all |please )*{_CHOOSE}|\bwe(?:'ll| will|'re going to| are going to|'re) (?:just |then |definitely |therefore )*(?:{_CHOOSE}|going with|sticking with)
    |\b(?:decision|conclusion|consensus)(?: is| was|:)|\b(?:it's|that's|it is|that is) (?:decided|settled|agreed|a deal)\b|\b(?:is|are|has been|have been|gets) (?:now |officially )?(?:approved|decided|agreed|signed off)\b
    |^(?:okay,? |ok,? |great,? )?(?:agreed|deal|decided)\b|\bfinal (?:answer|decision)\b"""),
    re.IGNORECASE,
)
_NO_DECISIONS = re.compile(
    _flat(rf"""\b(?:haven't|hasn't|have not|has not|hadn't|didn't|did not|not|never|nobody|nothing|isn't|aren't) (?:\w+ ){{0,2}}(?:{_DECIDED}|decide|agree)\b
    |\b(?:if|unless|until|before|once|when|whether|whatever|assuming) (?:we|they|everyone|the \w+|it|that|this|you|i)\b
    |\blet's (?:use the (?:next|rest|remaining)|keep (?:going|it short|this short|moving)|skip (?:ahead|to)|stop (?:here|there)|go for (?:a )?(?:lunch|coffee|break)|pick (?:this|that|it) up|do (?:it|that|this) (?:later|offline|next)|not (?:get|worry|forget))
    |\bagreed to disagree\b"""),
    re.IGNORECASE,
)
_POINTS_BACK = re.compile(
    r"\b(?:that|this|it|those|them|agreed|deal|the (?:first|second|other|latter) (?:one|option))\b",
    re.IGNORECASE,
)
_YES = re.compile(
    r"^(?:sure|yes|yeah|yep|yup|okay|ok|will do|no problem|of course|absolutely|certainly|got it|happy to|on it|"
    r"sounds good|I can|I will|I'll|my pleasure|consider it done)\b",
    re.IGNORECASE,
)
_NO = re.compile(
    r"^(?:no\b(?! problem| worries)|nope|sorry|I'm afraid|I can't|I cannot|I won't|not really|unfortunately)",
    re.IGNORECASE,
)
_NOT_NAMES = """
    I It That This We They You He She There Here What Who Where When Why How Which Everyone Everybody Somebody
    Someone Nobody Nothing Something Anyone Anybody Okay Ok So Well Yeah Yes No And But Or Then Now Also Maybe
    Please Sure Great Right Alright Hey Hi Hello Thanks Actually Otherwise First Second Next Finally People
    Guys Today Tomorrow Sorry Cool Monday Tuesday Wednesday Thursday Friday Saturday Sunday If Because Once
    Until After Before Can Could Would Will
"""
_NAME = rf"(?!(?:{'|'.join(_NOT_NAMES.split())})\b)[A-Z][a-z'’-]+(?: [A-Z][a-z'’-]+)?"

_OWN = re.compile(
    rf"\bI\s*(?:{_MUST})\s+{_SOON}{_VERB}|\blet me\s+(?:take (?:that|this|it|care)|follow up|look into|get back|set up|draft|write|prepare|schedule|send|handle)\b"
    rf"|\bI(?:'ll| will) (?:take (?:that|this|it)|do it|be responsible)\b|\bI(?:'m| am) on it\b|\bleave (?:it|that|this) (?:to|with) me\b",
    re.IGNORECASE,
)
_NOBODYS = re.compile(
    rf"\b(?:we|someone|somebody|everyone|everybody|each of us)\s*{_MUST}\s+{_SOON}{_VERB}",
    re.IGNORECASE,
)
_MARKED = re.compile(
    r"\b(?:action items?|to-?do|next steps?)\b\s*(?:is|are|for \w+|:|,)", re.IGNORECASE
)
_ASKED = re.compile(
    rf"\b{_ASKS}\s+{_SOON}{_VERB}|^(?:\w+,?\s+)?please\s+{_SOON}{_VERB}", re.IGNORECASE
)


class English:
    """Cues of English. `names` are those who spoke."""

    def __init__(self, names: Sequence[str]) -> None:
        first = {each.split()[0] for each in names if each.split()}
        known = one_of({*names, *first})
        named = rf"(?P<name>{known})" if known else r"(?P<name>(?!))"
        self._named = [
            re.compile(
                rf"\b{named}[,:]?\s+(?:{_ASKS}|please|you(?:\s+|'ll\s+)(?:{_MUST}\s+)?)\s*{_SOON}{_VERB}",
                re.IGNORECASE,
            ),
            re.compile(rf"\b{named}\s*(?:{_MUST}|to|is to)\s+{_SOON}{_VERB}", re.IGNORECASE),
            re.compile(rf"\b{_ASKS}\s+{_SOON}{_VERB}.*,\s*{named}[?.!]*$", re.IGNORECASE),
            re.compile(
                rf"(?:^|[,;.]\s|\band |\bso )(?P<name>{_NAME})[,:]\s+(?:{_ASKS}|please)\s+(?i:{_SOON}{_VERB})"
            ),
        ]
        self._unknown = re.compile(
            rf"(?:^|[,;.]\s|\band |\bso |\bthat )(?P<name>{_NAME}) (?:will|is going to|needs to|has to)\s+(?i:{_SOON}{_VERB})"
        )

    def decides(self, text: str) -> bool:
        """Whether something is decided."""
        return bool(_DECISIONS.search(text)) and not _NO_DECISIONS.search(text)

    def points_back(self, text: str) -> bool:
        """Whether it means what was said before it."""
        return len(text.split()) <= 9 and bool(_POINTS_BACK.search(text))

    def accepts(self, text: str) -> bool:
        """Whether it says yes."""
        return bool(_YES.search(text)) and not self.refuses(text)

    def refuses(self, text: str) -> bool:
        """Whether it says no."""
        return bool(_NO.search(text))

    def due(self, text: str) -> str:
        """Find by when, as it was said; what a task is due by goes before other times."""
        found = _DUE_BY.search(text) or _DUE_ON.search(text)
        return (found["bare"] or found["whole"]).strip(" .,") if found else ""

    def task(self, text: str) -> Task | None:
        """Find out whether a sentence gives somebody something to do."""
        if _NO_TASKS.search(text):
            return None
        for pattern in self._named:
            if found := pattern.search(text):
                return Task(found["name"], is_asked=bool(_ASKED.search(text)))
        if (found := self._unknown.search(text)) and self.due(text):
            return Task(found["name"])
        if _OWN.search(text) and not text.endswith("?"):
            return Task(is_own=True)
        if _ASKED.search(text):
            return Task(is_asked=True)
        is_due = bool(_NOBODYS.search(text) and self.due(text)) and not text.endswith("?")
        return Task() if is_due or _MARKED.search(text) else None


_: type[Cues] = English

__all__ = ["English"]
