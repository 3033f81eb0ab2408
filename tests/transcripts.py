"""Meetings that never were, written for the tests of summaries: as a recogniser would have heard them."""

from __future__ import annotations

from services.ai.text.summary import Line

_ENGLISH = """
Ann Lee: Okay, good morning everybody, thanks for joining.
Ben Carter: Morning.
Chloe Díaz: Hi all, can you hear me?
Ann Lee: Yes, loud and clear. So let's start with the mobile release.
Ben Carter: Right, so the mobile app is nearly done. The login screen crashes on older Android phones, though.
Chloe Díaz: How many people does the login crash affect?
Ben Carter: About four percent of our Android users, mostly on version nine.
Ben Carter: The crash comes from the biometric library, we could remove the fingerprint login for the old phones.
Ann Lee: Could we ship the mobile release without fingerprint login on Android nine?
Ben Carter: Yes, the password login works fine there.
Chloe Díaz: I'd be happier with that than with another delay of the release.
Ann Lee: Okay, let's do that then.
Ann Lee: So we've decided to ship the mobile release on March 12th without fingerprint login for Android nine.
Ben Carter: Good. I'll remove the biometric library by Thursday and
Ben Carter: send a new build to the testers.
Chloe Díaz: And I can write the release notes for the app store tomorrow.
Ann Lee: Great. Moving on to the customer survey.
Chloe Díaz: The survey went out to two thousand customers last month and we have three hundred answers.
Chloe Díaz: Most customers like the new dashboard, but they complain about slow exports.
Ben Carter: Slow exports of reports, or of raw data?
Chloe Díaz: Reports. A big report export takes almost ten minutes, customers say.
Ben Carter: The report export runs in a single job, we haven't decided how to split it.
Ann Lee: Ben, can you look into the export job and estimate what it takes?
Ben Carter: Sure, I'll have something by next Wednesday.
Ann Lee: And could you share the survey results with the sales team?
Chloe Díaz: Will do.
Chloe Díaz: Should we run the customer survey again in the summer?
Ann Lee: I don't know yet, let's see how the dashboard changes land.
Ann Lee: Alright, last topic, the budget for the conference.
Chloe Díaz: The conference in Lisbon costs nine thousand euros for the booth, and the travel budget is on top of that.
Ben Carter: Nine thousand for a booth is a lot of budget.
Ann Lee: The finance team approved ten thousand for the whole conference, travel included.
Chloe Díaz: Then a smaller booth at five thousand would leave enough travel budget for three people.
Ben Carter: I agree, a smaller booth in Lisbon is enough for us.
Ann Lee: Agreed, we'll go with the smaller booth at the conference.
Ann Lee: Priya needs to confirm the travel budget before Friday.
Chloe Díaz: I'm going to book the booth today, I will send you all the confirmation.
Ann Lee: Perfect. If we decide on more people later, we can still change it.
Ben Carter: I can't go to Lisbon myself by the way.
Ann Lee: No problem. Thanks everybody, see you next week.
"""

_CHINESE = """
王小明: 大家早上好，我们开始吧。
李娜: 早。
张伟: 早上好，能听到吗？
王小明: 可以。我们先说一下支付系统的升级。
李娜: 支付系统的新接口已经开发完了，但是退款接口在高并发下会超时。
张伟: 超时的比例大概有多少？
李娜: 压力测试里大约百分之三的退款请求超时，主要是数据库的锁等待太长。
张伟: 那能不能把退款改成异步队列处理？
李娜: 可以，异步队列处理退款以后数据库的压力会小很多。
王小明: 好，那我们决定退款改成异步队列处理。
李娜: 我来改退款接口，周五之前提交代码。
王小明: 张伟，你能不能安排一下压力测试？
张伟: 没问题，下周二之前做完。
王小明: 上线时间还没确定，等压力测试结果出来再说。
王小明: 接下来说一下招聘的情况。
张伟: 后端工程师的招聘收到了四十份简历，面试了六个候选人。
张伟: 有两个候选人不错，一个做过支付，一个做过推荐系统。
李娜: 做过支付的那个候选人我觉得很合适，面试表现也好。
王小明: 薪资预算够不够？
张伟: 薪资预算还差一点，需要人事部门批。
王小明: 麻烦小刘跟人事部门确认一下薪资预算，明天给我答复。
李娜: 那就选做过支付的候选人吧。
王小明: 好，就这么定。
王小明: 最后一个议题，年会的安排。
李娜: 年会场地看了三家酒店，城西的酒店最便宜，一共三万块。
张伟: 城西的酒店交通不太方便，很多同事住在城东。
李娜: 我们可以租大巴接送同事，大巴大概两千块。
王小明: 大家同意去城西的酒店办年会吗？
张伟: 同意。
李娜: 我会联系酒店签合同，月底前付定金。
张伟: 我负责统计参加年会的人数。
王小明: 辛苦大家，今天就到这里。
"""


def _read(text: str) -> list[Line]:
    parts = (line.partition(": ") for line in text.strip().splitlines())
    return [Line(f"{number:04d}", who, said) for number, (who, _, said) in enumerate(parts, 1)]


ENGLISH = _read(_ENGLISH)
CHINESE = _read(_CHINESE)

__all__ = ["CHINESE", "ENGLISH"]
