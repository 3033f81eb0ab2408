"""The words of a text that carry meaning. English and its like are cut at what is no letter, Chinese by a dictionary."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Sequence

import rjieba
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

from services.ai.text.sentences import HAN

_RUNS = re.compile(r"[\u3400-\u9fff]+|[^\W\d_][\w'’-]*|\S")
_FILLERS = """
    actually alright anyway basically bit bye come course definitely doing don't didn't doesn't every everybody everyone
    exactly feel fine get gets getting give go goes going gonna good got great guess guys hello hey hi hmm honestly
    i'd i'll i'm i've idea isn't it'll it's just kind know let let's like literally little look looks lot make makes
    maybe mean mhm morning need needs nice oh ok okay one ones people perfect point pretty probably put question
    quick quickly really right said saw say saying says see sense sort start stuff sure talk talking tell thank thanks
    that'll that's there's they'll they're they've thing things think thinking thought today tomorrow try trying two uh
    um used using wanna want wants way we'd we'll we're we've week what's whole won't wondering word work works yeah yep
    yes yesterday you'd you'll you're you've can't couldn't wouldn't shouldn't haven't hasn't wasn't aren't weren't
    monday tuesday wednesday thursday friday saturday sunday afternoon evening next last new able bring discuss end
    item items keep mentioned move moving no time times topic update use day days meeting action
"""
_CHINESE_FILLERS = """
    一下 一个 一些 一点 一样 一直 一定 一起 一共 上面 下面 不会 不太 不是 不用 不能 不过 两个 为什么 主要 之后 之前 也是 事情 什么
    今天 他们 以及 以后 以前 但是 你们 你看 其实 其他 几个 刚才 刚刚 到底 剩下 包括 十分 即可 及时 只是 只有 可能 可以 各位 同意 后面
    后天 吧 呃 呢 咱们 哪个 哪些 哪里 因为 因此 基本 基本上 大家 大概 如果 存在 好像 好的 它们 完全 客气 对于 尤其 就是 就是说 已经
    应该 开始 当时 当然 很多 怎么 怎么样 怎样 情况 我们 我会 所以 所有 才能 打算 抱歉 挺好 接下来 收到 整个 时候 明天 明白 昨天 是不是
    是吧 是否 最后 有个 有些 有人 有点 有没有 本来 来说 来讲 某个 根据 欢迎 正在 每个 比如 比较 没事 没有 没问题 清楚 然后 特别 现在 由于
    的话 直接 相关 看看 真的 知道 稍微 等等 算是 肯定 自己 行吗 行吧 觉得 认为 谁来 谢谢 跟着 较为 辛苦 还是 还有 还没 这个 这些 这儿
    这块 这样 这次 这种 这边 这里 进行 那个 那些 那就 那种 那边 那里 部分 都是 问题 需要 非常 首先 麻烦 先说 能不能 要不要 一会儿 不行
    周一 周二 周三 周四 周五 周六 周日 下周 这周 本周 星期 月底 下个 上个 上午 下午 晚上 我来 会议 开会 说说 说一下 看一下 决定 讨论
"""
_STOPS = ENGLISH_STOP_WORDS | {*_FILLERS.split(), *_CHINESE_FILLERS.split()}
_MAX_LETTERS = 40


def phrases(text: str) -> Iterator[Sequence[str]]:
    """Find the words, each run of them that nothing stands between on its own; as written."""
    found: list[str] = []
    for word in _words(text):
        if _means(word):
            found.append(word)
        elif found:
            yield found
            found = []
    if found:
        yield found


def ones_and_pairs(runs: Iterable[Sequence[str]]) -> Iterator[tuple[str, ...]]:
    """Go through the words of runs, and the pairs of those that stand together."""
    for run in runs:
        yield from ((word,) for word in run)
        yield from itertools.pairwise(run)


def joined(parts: Sequence[str]) -> str:
    """Write words as one phrase; Chinese has no spaces."""
    text = parts[0]
    for part in parts[1:]:
        text += part if HAN.match(part) and HAN.match(text[-1]) else f" {part}"
    return text


def _words(text: str) -> Iterator[str]:
    for run in _RUNS.findall(text):
        if HAN.match(run):
            yield from rjieba.cut(run)
        else:
            yield run.replace("’", "'").removesuffix("'s")


def _means(word: str) -> bool:
    return 1 < len(word) <= _MAX_LETTERS and word[0].isalpha() and word.lower() not in _STOPS


__all__ = ["joined", "ones_and_pairs", "phrases"]
