"""What extractive summaries make of meetings, in English and Chinese."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ai.text.extraction import summarise
from services.ai.text.sentences import sentences
from services.ai.text.summary import MAX_CITED, Line, Point, Summary
from tests.transcripts import CHINESE, ENGLISH


def points(summary: Summary) -> list[Point]:
    return [*summary.topics, *summary.decisions, *summary.action_items]


def talk(*lines: str) -> list[Line]:
    parts = (line.partition(": ") for line in lines)
    return [Line(str(number), who, text) for number, (who, _, text) in enumerate(parts, 1)]


def tasks(*lines: str) -> list[tuple[str, str]]:
    return [(item.assignee, item.due) for item in summarise(talk(*lines)).action_items]


def decisions(*lines: str) -> list[Point]:
    return list(summarise(talk(*lines)).decisions)


def test_the_topics_of_an_english_meeting_come_in_order_with_names_and_lines() -> None:
    names = ["login release", "survey export", "booth budget"]
    topics = summarise(ENGLISH).topics
    assert len(topics) == 3
    for topic, expected in zip(topics, names, strict=True):
        assert all(name in topic.text.partition(":")[0] for name in expected.split())
    lines = [[int(each) for each in topic.line_ids] for topic in topics]
    assert [max(each) for each in lines[:2]] < [min(each) for each in lines[1:]]
    assert max(lines[0]) < 18 <= min(lines[1])
    assert max(lines[1]) < 29 <= min(lines[2])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("Moving on to the parking spaces.", "The next item is the coffee machine."),
        ("接下来说一下停车位。", "最后一个议题，咖啡机。"),
    ],
)
def test_a_topic_begins_where_somebody_says_so(first: str, second: str) -> None:
    rounds = [
        *(f"Ann: The rent of office number {number} rises." for number in range(8)),
        f"Ann: {first}",
        *(f"Ben: The parking spaces of house {number} are full." for number in range(7)),
        f"Ann: {second}",
        *(f"Ben: The coffee machine on floor {number} leaks." for number in range(7)),
    ]
    cited = [sorted(map(int, topic.line_ids)) for topic in summarise(talk(*rounds)).topics]
    assert [
        (each[0] > start, each[-1] <= end)
        for each, start, end in zip(cited, (0, 8, 16), (8, 16, 24), strict=True)
    ] == [(True, True)] * 3


def test_the_decisions_of_an_english_meeting_are_found_and_what_is_open_is_not() -> None:
    assert [(each.text, each.line_ids) for each in summarise(ENGLISH).decisions] == [
        (
            "I'd be happier with that than with another delay of the release. Let's do that then.",
            ("0011", "0012"),
        ),
        (
            "We've decided to ship the mobile release on March 12th without fingerprint login for Android nine.",
            ("0013",),
        ),
        ("Agreed, we'll go with the smaller booth at the conference.", ("0035",)),
    ]


def test_the_tasks_of_an_english_meeting_have_who_and_when_as_they_were_said() -> None:
    found = summarise(ENGLISH).action_items
    assert [(each.assignee, each.due, each.line_ids) for each in found] == [
        ("Ben Carter", "Thursday", ("0014", "0015")),
        ("Chloe Díaz", "tomorrow", ("0016",)),
        ("Ben", "next Wednesday", ("0023", "0024")),
        ("Chloe Díaz", "", ("0025", "0026")),
        ("Priya", "before Friday", ("0036",)),
        ("Chloe Díaz", "today", ("0037",)),
    ]
    assert found[0].text.endswith("by Thursday and send a new build to the testers.")


def test_the_overview_says_who_spoke_about_what_and_quotes() -> None:
    overview = summarise(ENGLISH).overview
    assert overview.startswith("Ann Lee, Ben Carter and Chloe Díaz spoke about ")
    assert 2 <= overview.count("“") <= 3
    chinese = summarise(CHINESE).overview
    assert chinese.startswith("王小明、李娜、张伟谈到了")
    assert all("，" in each or "。" in each for each in chinese.split("：“")[1:])


def test_a_chinese_meeting_is_summarised_as_an_english_one() -> None:
    summary = summarise(CHINESE)
    topics = [each.text.partition("：")[0] for each in summary.topics]
    assert len(topics) == 3
    assert "退款" in topics[0]
    assert "候选人" in topics[1]
    assert "酒店" in topics[2]
    assert [(each.text, each.line_ids) for each in summary.decisions] == [
        ("那我们决定退款改成异步队列处理。", ("0010",)),
        ("那就选做过支付的候选人吧。", ("0022", "0023")),
    ]
    assert [(each.assignee, each.due, each.line_ids) for each in summary.action_items] == [
        ("李娜", "周五之前", ("0011",)),
        ("张伟", "下周二之前", ("0012", "0013")),
        ("小刘", "明天", ("0021",)),
        ("李娜", "月底前", ("0030",)),
        ("张伟", "", ("0031",)),
    ]


def test_the_words_that_are_ours_are_in_the_language_that_was_asked_for() -> None:
    assert "谈到了" in summarise(ENGLISH, "zh-CN").overview
    assert " spoke about " in summarise(CHINESE, "en").overview


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Ann: I'll send the contract by Friday.", ("Ann", "Friday")),
        ("Ann: Okay, um, I'll also draft the agenda before the demo.", ("Ann", "before the demo")),
        ("Ann: I need to call the landlord within two days.", ("Ann", "within two days")),
        ("Ann: I'm going to review it by the end of the week.", ("Ann", "the end of the week")),
        ("Ann: Let me follow up with legal.", ("Ann", "")),
        ("Ann: Ben, could you please check the logs by 5 pm?", ("Ben", "5 pm")),
        ("Ann: Can you update the wiki tomorrow, Ben?", ("Ben", "tomorrow")),
        ("Ann: Ben will send the invoices on May 3rd.", ("Ben", "May 3rd")),
        ("Ann: So Priya, please book the room for Monday.", ("Priya", "Monday")),
        ("Ann: Action item: Ben to order new badges.", ("Ben", "")),
        ("Ann: We need to submit the report by Tuesday at noon.", ("", "Tuesday at noon")),
        ("王小明: 我会把合同发给客户，明天下午三点之前。", ("王小明", "明天下午三点之前")),
        ("王小明: 我这边来联系供应商，三天之内给答复。", ("王小明", "三天之内")),
        ("王小明: 请张伟整理一下会议纪要，下班前发出来。", ("张伟", "下班前")),
        ("王小明: 王总，您能不能周四之前审一下预算？", ("王总", "周四之前")),
        ("王小明: 让李老师准备培训材料。", ("李老师", "")),
        ("王小明: 我们这周五前要完成测试。", ("", "这周五前")),
    ],
)
def test_a_task_is_found_with_whose_it_is_and_when(said: str, expected: tuple[str, str]) -> None:
    others = ["Ben: The weather was fine.", "张伟: 昨天天气不错。"]
    assert tasks(said, *others) == [expected]


@pytest.mark.parametrize(
    "said",
    [
        "Ann: I can hear you.",
        "Ann: I'll be honest, the weather was bad.",
        "Ann: I can't send it by Friday.",
        "Ann: Should I send the contract by Friday?",
        "Ann: Let me share my screen.",
        "Ann: I'll give you a quick overview.",
        "Ann: She sent the contract by Friday.",
        "Ann: The API will send a message to the queue.",
        "Ann: Can you hear me?",
        "王小明: 我来介绍一下这个项目。",
        "王小明: 我会觉得有点贵。",
        "王小明: 我不会写报告。",
        "王小明: 我跟大家说一下情况。",
        "王小明: 小时候我们周五之前都很开心。",
    ],
)
def test_what_is_no_task_is_not_taken_for_one(said: str) -> None:
    assert tasks(said, "Ben: The weather was fine.") == []


def test_who_says_yes_to_what_was_asked_of_nobody_has_the_task_and_its_time() -> None:
    assert tasks("Ann: Could you send me the figures?", "Ben: Sure, by Friday.") == [
        ("Ben", "Friday")
    ]
    assert tasks("王小明: 麻烦你更新一下文档。", "李娜: 好的，明天之前。") == [("李娜", "明天之前")]


def test_who_says_no_has_no_task() -> None:
    assert tasks("Ann: Ben, can you send me the figures?", "Ben: Sorry, I can't.") == []
    assert tasks("王小明: 张伟，你能不能写一下报告？", "张伟: 不好意思，没时间。") == []


@pytest.mark.parametrize(
    "said",
    [
        "Let's go with the second option.",
        "We agreed to postpone the launch to June.",
        "We'll use Postgres for the new service.",
        "So the decision is to hire two more people.",
        "The budget has been approved.",
        "我们决定不参加这次展会。",
        "大家一致同意用新的方案。",
        "发布日期定在六月三号。",
        "那就采用第二个方案吧。",
    ],
)
def test_a_decision_is_found(said: str) -> None:
    assert [each.line_ids for each in decisions(f"Ann: {said}")] == [("1",)]


@pytest.mark.parametrize(
    "said",
    [
        "We haven't decided yet.",
        "Have we agreed on a date?",
        "If we decide to go, let me know.",
        "Let's move on to the next item.",
        "Let's use the remaining time for questions.",
        "我们还没决定用哪个方案。",
        "这个需要老板来决定。",
        "大家同意吗？",
        "不一定，看情况。",
        "按照规定来。",
    ],
)
def test_what_is_open_is_no_decision(said: str) -> None:
    assert decisions(f"Ann: {said}") == []


def test_a_yes_to_a_proposal_cites_the_proposal() -> None:
    (decision,) = decisions("Ann: What about a booth in Lisbon?", "Ben: Great, let's do that.")
    assert decision.line_ids == ("1", "2")
    assert "Lisbon" in decision.text


def test_a_sentence_over_several_lines_is_put_together_and_cites_them_all() -> None:
    found = sentences(
        talk(
            "Ann: I'll send the contract",
            "Ann: by Friday. Then we can",
            "Ann: sign it.",
            "Ben: Fine.",
        )
    )
    assert [(each.text, each.lines) for each in found] == [
        ("I'll send the contract by Friday.", (0, 1)),
        ("Then we can sign it.", (1, 2)),
        ("Fine.", (3,)),
    ]


def test_lines_without_punctuation_stay_apart() -> None:
    found = sentences(talk("李娜: 我们先看预算", "李娜: 然后看人员", "张伟: 好的"))
    assert [each.text for each in found] == ["我们先看预算", "然后看人员", "好的"]


def test_a_meeting_in_which_nothing_is_said_has_nothing_to_tell() -> None:
    summary = summarise([Line("1", "Ann", "Okay."), Line("2", "Ben", ""), Line("3", "", "…")])
    assert (summary.overview, points(summary)) == ("", [])


def test_the_same_lines_give_the_same_summary() -> None:
    assert summarise(CHINESE + ENGLISH) == summarise(CHINESE + ENGLISH)


def test_what_is_repeated_all_day_is_one_point_that_cites_some_of_it() -> None:
    lines = [Line(str(number), "Ann", "I'll send the report.") for number in range(500)]
    (item,) = summarise(lines).action_items
    assert len(item.line_ids) == MAX_CITED


VOCABULARY = """
    I'll send you the report by Friday . ? Ann can we decided let's go with it next topic budget
    我来 决定 周五之前 整理 报告 。 请 张伟 预算
"""
WORDS = st.sampled_from(VOCABULARY.split())
SAID = st.builds(
    Line,
    st.uuids().map(str),
    st.sampled_from(["", "Ann", "张伟", "Ben Carter"]),
    st.one_of(st.lists(WORDS, max_size=30).map(" ".join), st.text(max_size=60)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(SAID, min_size=1, max_size=60))
def test_every_point_has_a_text_and_cites_lines_that_were_said(lines: list[Line]) -> None:
    summary = summarise(lines)
    known = {line.id for line in lines}
    for point in points(summary):
        assert point.text
        assert point.line_ids
        assert known.issuperset(point.line_ids)
    assert Summary.of_plain(summary.plain()) == summary
