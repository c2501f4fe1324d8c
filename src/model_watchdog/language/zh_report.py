"""The Chinese of the report."""

FAULTS = {
    "a day is written like mon, or as a number from 1 to 31": "日期写成 mon 这样的星期，或 1 到 31 的数字",
    "to must name at least one notifier": "to 至少要写一个通知渠道",
    "day must be one of mon to sun for every: week, and a number from 1 to 31 for every: month": (
        "every: week 时 day 须为 mon 到 sun 之一，every: month 时须为 1 到 31 的数字"
    ),
}

PHRASES = {
    "a report could not be made": "无法生成报告",
    "--since {text}: 400 days are the most that the record keeps": "--since {text}：记录最多保留 400 天",
    "--since {text}: it has not begun yet": "--since {text}：该时间尚未到来",
    "--since {text}: one minute (1m) is the least": "--since {text}：至少一分钟 (1m)",
    "--since {text}: write it like 7d, 2026-10 or 2026-10-05": "--since {text}：请写成 7d、2026-10 或 2026-10-05 的形式",
    "--until {text}: it lies before --since {since}": "--until {text}：早于 --since {since}",
    "--until {text}: write it like 2026-10-05, or 2026-10 for the first of a month": (
        "--until {text}：请写成 2026-10-05 的形式，或用 2026-10 表示该月一日"
    ),
    "{path}: its name must end in .html or .json": "{path}：文件名必须以 .html 或 .json 结尾",
    "{host}: report, {since} to {until}": "{host}：运行报告，{since} 至 {until}",
    "watched for {watched} ({share}); incidents: {incidents}, restarts: {restarts}, alerts: {alerts}": (
        "监视了 {watched} ({share})；故障 {incidents} 次，重启 {restarts} 次，告警 {alerts} 次"
    ),
    "Availability": "可用性",
    "Available": "可用率",
    "AVAILABLE": "可用率",
    "DETECTED": "发现用时",
    "RECOVERED": "恢复用时",
    "Noticed after": "发现用时",
    "Well again after": "恢复用时",
    "Outages": "中断次数",
    "Down": "不可用时长",
    "down": "不可用",
    "Not counted": "不计入",
    "not counted for {service}: {what}": "{service} 不计入：{what}",
    "not watched": "未监视",
    "stopped on purpose": "人为停止",
    "stopped on purpose, or sleeping": "人为停止或休眠",
    "healthy, busy or degraded": "健康、繁忙或降级",
    "lowest availability: {service}": "最低可用率：{service}",
    "{service} over time": "{service} 的状态变化",
    "{series} over time": "{series} 的变化",
    "distribution of {series}": "{series} 的分布",
    "Incidents": "故障",
    "Number": "编号",
    "Cause": "起因",
    "Lasted": "持续",
    "Restarts and what came of them": "重启及其结果",
    "Took": "用时",
    "By": "执行者",
    "Details": "详情",
    "an operator": "运维人员",
    "the watchdog, as a trial": "本程序（试探）",
    "Latency, requests and errors": "延迟、请求与错误",
    "Latency of": "延迟来源",
    "probe {probe}": "探测 {probe}",
    "records of its log": "日志记录",
    "Failed": "失败",
    "Samples": "样本数",
    "Mean": "平均",
    "mean {mean}": "平均 {mean}",
    "Least": "最小",
    "Greatest": "最大",
    "Counted by": "计数来源",
    "Requests": "请求数",
    "A second": "每秒",
    "Errors": "错误数",
    "Share of errors": "错误率",
    "{service}: {rate} requests a second, errors {share}": "{service}：每秒 {rate} 个请求，错误 {share}",
    "{rate} a second on average": "平均每秒 {rate}",
    "{median}, at most {most}": "中位数 {median}，最长 {most}",
    "What got slowly worse": "缓慢恶化的指标",
    "series that got slowly worse": "缓慢恶化的序列",
    "nothing that chance would not bring about, or fewer than 7 days": "没有超出偶然的变化，或数据不足 7 天",
    "Change": "变化",
    "How": "情况",
    "from {begin} to {end} in {days} days: {slope} a day (by chance: p = {chance})": (
        "{days} 天内从 {begin} 变为 {end}：每天 {slope}（偶然出现的概率 p = {chance}）"
    ),
    "; at 100 % in {days} days": "；{days} 天后达到 100 %",
    "Rules that cried wolf": "误报的规则",
    "alarms for nothing": "误报次数",
    "Rule": "规则",
    "it is configured no longer": "该规则已不在配置中",
    "What to change": "建议修改",
    "Why": "理由",
    "{count} of {fired} ended by themselves, after {times}; nobody and nothing had done anything": (
        "{fired} 次告警中有 {count} 次自行结束，历时 {times}；期间无人处理，也没有任何自动操作"
    ),
    "; change: {change}": "；建议修改：{change}",
    "{spared} of {count} were over before it": "{count} 次中有 {spared} 次会在此之前结束",
    "{told}; it is {now} now": "{told}；当前为 {now}",
    "99 of 100 samples were below it": "100 个样本中有 99 个低于它",
    "99 of 100 samples were above it": "100 个样本中有 99 个高于它",
    "{count} of them came again within {duration}: as one alert they are told once": (
        "其中 {count} 次在 {duration}内再次出现：合为一个告警则只通知一次"
    ),
    "nobody did anything about it: is it worth telling at all?": "无人处理：是否有必要通知？",
    "it comes from the state of the service: look at why it changes, and at how long its probes wait": (
        "它来自服务的状态：请查看状态变化的原因，以及探测的等待时间"
    ),
    "Trends and distributions": "趋势与分布",
    "{count} more series are in the table below": "另有 {count} 个序列见下表",
    "Anomalies: what fired": "异常点：触发的告警",
    "Everything that was measured": "全部测量数据",
    "the newest {shown} of {count}; -o FILE.json has all": "共 {count} 条，仅显示最新 {shown} 条；全部内容见 -o FILE.json",
    "… {count} more are in the whole report": "…… 另有 {count} 条见完整报告",
    "Available is the share of the watched time in which a service was healthy, busy or degraded.": (
        "可用率是服务在被监视时间内处于健康、繁忙或降级状态的比例。"
    ),
    "What was paused, stopped on purpose, asleep, unknown or not watched is not counted.": (
        "暂停、人为停止、休眠、状态未知或未监视的时间不计入。"
    ),
    "Noticed after: from the first bad sign until something was done about it, or people were told. Well again after: from then on.": (
        "发现用时：从第一个异常迹象到采取措施或通知。恢复用时：从那时到恢复。"
    ),
    "{path}: there is no directory {parent}; make it first": "{path}：没有目录 {parent}；请先创建",
    "{path}: something that is no file is in its place; choose another name": "{path}：该处已有的不是普通文件；请换一个名字",
    "{path}: nothing can be written in {parent}; choose another place": "{path}：无法写入 {parent}；请换一个位置",
    "Counts, means and extremes are exact; quantiles come out of a sketch, and are right to 1 % of themselves.": (
        "计数、平均值和极值是精确的；分位数来自近似摘要，误差不超过其自身的 1 %。"
    ),
    "What got slowly worse: Theil-Sen line through means of 24 hours, with p below 0.01 by the Mann-Kendall test.": (
        "缓慢恶化：对每 24 小时平均值作 Theil-Sen 直线，且 Mann-Kendall 检验 p 小于 0.01。"
    ),
    "Times are local. Made by model-watchdog {version}, {moment}.": "时间为本地时间。由 model-watchdog {version} 于 {moment} 生成。",
}
