"""Chinese."""

from model_watchdog.core.decision import Param
from model_watchdog.wording.parts import Params, Sentences, is_flat, number, signal_name, times_off


def duration(seconds: float) -> str:
    """`12 秒`, `3 分 10 秒`, `2 小时 5 分`, `6 天`, as in English."""
    seconds = max(0.0, seconds)
    if seconds < 10 and seconds % 1:
        return f"{seconds:.1f} 秒"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} 秒"
    if whole < 3600:
        return f"{whole // 60} 分" + (f" {whole % 60} 秒" if whole % 60 and whole < 600 else "钟")
    if whole < 86400:
        return f"{whole // 3600} 小时" + (f" {whole % 3600 // 60} 分" if whole % 3600 >= 60 else "")
    days, hours = whole // 86400, whole % 86400 // 3600
    return f"{days} 天" + (f" {hours} 小时" if hours and days < 3 else "")


def some(names: Param) -> str:
    """At most six of many names."""
    listed = str(names).split(", ")
    return "、".join(listed) if len(listed) <= 6 else f"{'、'.join(listed[:5])} 等 {len(listed)} 个"


def _counted(params: Params) -> str:
    few = int(params["count"]) <= int(params["of"])
    notes = [f"第 {params['count']}/{params['of']} 次"] if few else []
    notes += [_IS_PORT_RIGHT] if params.get("never") else []
    return ("" if few else f"，已连续 {params['count']} 次") + (f"（{'；'.join(notes)}）" if notes else "")


_IS_PORT_RIGHT = "从未有过应答，请检查其地址中的端口"


def _life(params: Params) -> str:
    return f"（pid {params['pid']}，已运行 {duration(float(params['up']))}）" if "pid" in params else ""


_AS = {"rate": "每秒增量", "increase": "增量", "avg": "平均值", "min": "最小值", "max": "最大值", "p95": "p95", "range": "极差"}


def _subject(params: Params) -> str:
    """What the value is of: a series, or what the rule makes of it."""
    series = str(params["series"])
    if "minus" in params:
        series += f" 减 {params['minus']}"
    return f"{series} 最近 {duration(float(params['over']))}的{_AS.get(str(params['as']), params['as'])}" if "as" in params else series


def _of_late(params: Params) -> str:
    return f"（近期平均 {number(params['recent'])}）" if "recent" in params else ""


def _set_apart(text: Param) -> str:
    """Between Chinese characters: a blank on each side where it is none itself."""
    said = str(text)
    return " " * said[:1].isascii() + said + " " * said[-1:].isascii()


_SEVERITIES = {"critical": "严重", "warning": "警告", "info": "提示"}


def _count_severities(params: Params) -> str:
    return "、".join(f"{word} {params[severity]} 条" for severity, word in _SEVERITIES.items() if params[severity])


def _more(params: Params) -> str:
    return f"（另有 {params['more']} 处）" if params["more"] else ""


def _tell_changes(params: Params) -> str:
    words = {"added": "新增", "removed": "移除", "changed": "变更"}
    told = [f"{word} {some(params[name])}" for name, word in words.items() if params[name]]
    if params["later"]:
        told.append(f"{some(params['later'])} 待当前重启结束后生效")
    return "；".join(told) or "没有变化"


def _normal(params: Params) -> str:
    if is_flat(params):
        return f"正常值为 {number(params['mean'])}，从无偏差"
    known = f"，与所有已知水平相差至少 {float(params['new']):.3g} 倍" if "new" in params else ""
    return f"正常值为 {number(params['mean'])}，通常偏差 {number(params['usual'])}，相差其 {times_off(params)} 倍{known}"


SENTENCES: Sentences = {
    "healthy": "所有探测正常",
    "not_seen": "尚未检查",
    "end_not_seen": "未运行，正在查找原因",
    "silent": lambda p: f"探测 {p['probe']} 近期没有结果",
    "loading": lambda p: (
        (
            f"加载中，已用 {duration(float(p['seconds']))}，最长 {duration(float(p['startup']))}"
            if float(p["seconds"]) >= 1
            else f"加载中，最长 {duration(float(p['startup']))}"
        )
        + (f"；最近几次启动约用 {duration(float(p['usual']))}" if "usual" in p else "")
    ),
    "stalled": lambda p: (
        f"有任务待处理，但{'引擎 ' + str(p['engine']) if 'engine' in p else '引擎'} 已有 {duration(float(p['seconds']))}没有推进"
    ),
    "busy_steps": lambda p: f"{p['probe']}：{p['detail']}，但引擎仍在推进",
    "canary_failed": lambda p: f"{p['probe']}：真实请求未得到应答：{p['detail']}{_counted(p)}",
    "canary_wrong": lambda p: f"{p['probe']}：真实请求的应答不正确：{p['detail']}",
    "asleep": "服务端表明自己正在休眠",
    "on_cpu": lambda p: f"已加载的模型有 {float(p['value']) / 2**30:.1f} GiB 位于主机内存而不在 GPU 上，因此很慢",
    "canary_too_early": "未发送：服务刚刚启动",
    "canary_asleep": "未发送：服务处于休眠",
    "canary_not_well": "未发送：健康检查不正常",
    "canary_not_seen": "未发送：无法得知服务是否有任务",
    "canary_busy": "未发送：服务正有任务",
    "container_missing": lambda p: f"看不到它的工作情况：{p['detail']}",
    "shows_nothing": lambda p: f"{p['probe']} 没有提供任何信息：{p['detail']}",
    "canary_never_good": lambda p: f"{p['probe']} 从未得到应有的应答，因此不作为依据：{p['detail']}",
    "misdirected": lambda p: f"{p['probe']}：{p['detail']}，从一开始就是如此：url 是否正确，或是否需要密钥（bearer:）？",
    "no_heartbeat": lambda p: f"{p['probe']}：页面上没有任何心跳指标（{p['names']}），请检查 server: 或 heartbeat: 是否正确",
    "no_work": lambda p: f"页面上没有任何任务指标（{p['names']}），既无法判断停滞，也无法判断空闲；请检查 work: 是否正确",
    "queued": lambda p: f"启动任务在 systemd 队列中等待，已 {duration(float(p['seconds']))}（systemctl list-jobs）",
    "queued_too_long": lambda p: f"启动任务仍在 systemd 队列中等待，已 {duration(float(p['seconds']))}（systemctl list-jobs）",
    "loading_too_long": lambda p: f"启动已 {duration(float(p['seconds']))}仍未完成，预期最长 {duration(float(p['startup']))}",
    "busy": lambda p: f"{p['probe']}：{p['detail']}，但服务正占用 {float(p['cores']):.1f} 个 CPU 核",
    "busy_gpu": lambda p: f"{p['probe']}：{p['detail']}，但 GPU {p['gpus']} 正在工作",
    "busy_unread": lambda p: f"{p['probe']}：{p['detail']}，且无法读取其 GPU 的状态",
    "busy_both": lambda p: f"{p['probe']}：{p['detail']}，但服务正占用 {float(p['cores']):.1f} 个 CPU 核，GPU {p['gpus']} 正在工作",
    "patience_ended": lambda p: f"{p['probe']} 持续超时已超过 {duration(float(p['patience']))}，尽管服务仍占用 CPU",
    "patience_ended_gpu": lambda p: f"{p['probe']} 持续超时已超过 {duration(float(p['patience']))}，尽管 GPU {p['gpus']} 仍在工作",
    "patience_ended_unread": lambda p: f"{p['probe']} 持续超时已超过 {duration(float(p['patience']))}，且无法读取服务所用 GPU 的状态",
    "health_timeout": lambda p: f"{p['probe']} 超时{_counted(p)}" + ("，服务无任何活动" if "still" in p else ""),
    "health_failed": lambda p: f"{p['probe']}：{p['detail']}{_counted(p)}",
    "health_tls": lambda p: f"{p['probe']}：{p['detail']}；重启无法修复证书问题",
    "blind": lambda p: f"无法执行探测 {p['probe']}：{p['detail']}",
    "systemd_unreachable": lambda p: f"无法访问 systemd：{p['detail']}",
    "unit_missing": lambda p: f"systemd 中没有单元 {p['unit']}（{p['load']}）",
    "masked": "单元已被 mask",
    "masked_while_failing": "单元异常且已被 mask，无法重启",
    "host_stopping": "主机正在关机",
    "is_stopping": "单元正在停止",
    "systemd_restarts": lambda p: f"{p['why']}；systemd 即将自行重启（Restart=）",
    "operator_stop": "人工停止：日志中有并非由本程序发起的停止任务",
    "stopped_not_proved": lambda p: "未运行，日志无法证明原因" + (f"：{p['detail']}" if p["detail"] else ""),
    "dependency_failed": lambda p: f"所依赖的单元失败：{p['dependency'] or '见其 Requires='}",
    "never_started": "主机启动以来该单元从未启动",
    "ended": lambda p: f"进程自行退出，退出码 {p['status']}{_life(p)}",
    "killed": lambda p: f"主进程被 {signal_name(p)} 杀死{_life(p)}",
    "oom_killed": lambda p: f"内存不足，被内核杀死（OOM）{_life(p)}",
    "exec_failed": lambda p: f"无法启动：systemd 退出码 {p['status']}" + ("（程序无法执行）" if p["status"] == 203 else ""),
    "start_limit": "启动过于频繁，systemd 拒绝再启动（start-limit-hit）",
    "unit_result": lambda p: f"单元失败：{p['result']}",
    "flapping": "健康状态反复抖动",
    "unstable": lambda p: f"{duration(float(p['seconds']))}内异常 {p['count']} 次；每次详见 watchdog events，不再逐次通知",
    "flapping_under_systemd": "5 分钟内已被 systemd 重启 3 次以上，本程序不再追加重启",
    "new_invocation": lambda p: "新进程已运行" + (f"（pid {p['pid']}）" if p["pid"] else "") + f"，由{_set_apart(p['by'])}启动",
    "acknowledged": lambda p: f"uid {p['uid']} 已接手事件 {p['incident']}" + (f"：{p['text']}" if p["text"] else ""),
    "silence_set": lambda p: (
        f"静默 {p['id']}：{duration(float(p['seconds']))}内不通知 {p['services']}，由 uid {p['uid']} 设置：{p['text']}"
    ),
    "silence_ended": lambda p: f"静默 {p['id']} 已由 uid {p['uid']} 结束",
    "silence_over": lambda p: f"静默 {p['id']} 已到期",
    "pause_over": "暂停已到期",
    "pause_ended": lambda p: f"uid {p['uid']} 结束了暂停",
    "over": lambda p: f"{p['rule']} 已恢复" + (f"：{p['series']} 为 {number(p['value'])}" if "series" in p else ""),
    "above": lambda p: f"{_subject(p)} 为 {number(p['value'])}，高于 {number(p['above'])}",
    "below": lambda p: f"{_subject(p)} 为 {number(p['value'])}，低于 {number(p['below'])}",
    "equals": lambda p: f"{_subject(p)} 为 {number(p['value'])}",
    "outside": lambda p: f"{_subject(p)} 为 {number(p['value'])}，超出 {number(p['low'])} 至 {number(p['high'])} 的范围",
    "expr": lambda p: f"{p['expr']} 的值为 {number(p['value'])}" + (f"（{p['labels']}）" if p["labels"] else ""),
    "absent": lambda p: f"{p['series']} 已 {duration(float(p['value']))}没有数据",
    "message": lambda p: str(p["text"]),
    "unlike": lambda p: f"{_subject(p)} 为 {number(p['value'])}{_of_late(p)}；{_normal(p)}" if "mean" in p else f"{p['rule']} 已恢复",
    "rule_fired": lambda p: f"规则 {p['rule']} 要求重启（当前值 {number(p['value'])}）",
    "restart_started": lambda p: f"第 {p['attempt']}/{p['attempts']} 次重启：开始，原因：{p['why']}",
    "restart_failed": lambda p: (
        f"第 {p['attempt']}/{p['attempts']} 次重启：失败，{p['what']}" if "attempt" in p else f"重启失败：{p['what']}"
    ),
    "trial_failed": lambda p: f"试探重启：失败，{p['what']}；{duration(float(p['retry_in']))}后再试",
    "operator_asked": lambda p: f"人工要求重启：{p['text']}",
    "restart_under_way": "重启已在进行中",
    "recovered": lambda p: f"{duration(float(p['seconds']))}后恢复，并已稳定 {duration(float(p['stable']))}",
    "holding": lambda p: f"已恢复正常，还须稳定 {duration(float(p['stable']))}",
    "not_good_in_time": lambda p: (
        f"{p['probe']} 在 {duration(float(p['startup']))}内未恢复正常：{p['detail']}" + (f"（{_IS_PORT_RIGHT}）" if p.get("never") else "")
    ),
    "start_timeout": lambda p: f"{duration(float(p['startup']))}内未能启动",
    "call_failed": lambda p: str(p["detail"]),
    "not_restarted": "systemctl 报告成功，但运行的仍是原进程",
    "ended_again": "观察期间进程再次退出",
    "old_process_left": lambda p: f"旧服务的进程无法结束（pid {p['pids']}），需要重启主机",
    "backoff": lambda p: f"退避等待 {duration(float(p['seconds']))}后再重启",
    "open": lambda p: f"熔断器已打开，{duration(float(p['seconds']))}后试探重启",
    "too_many": lambda p: f"{duration(float(p['per']))}内重启 {p['restarts']} 次仍无效",
    "gave_up": lambda p: f"熔断器打开，持续 {duration(float(p['seconds']))}",
    "back_by_another_hand": "未经本程序重启，服务已恢复正常",
    "dry_run": "本应重启，但当前为演练模式（dry run）",
    "inhibited": lambda p: f"规则 {p['rule']} 告警期间禁止重启",
    "paused": lambda p: f"暂停中，还剩 {duration(float(p['seconds']))}",
    "pause_set": lambda p: f"uid {p['uid']} 暂停 {duration(float(p['seconds']))}：{p['text']}",
    "not_permitted": lambda p: f"systemd 拒绝授予重启权限：{some(p['unit'])}",
    "rights_back": lambda p: f"已确认拥有重启权限：{some(p['unit'])}",
    "cannot_act_yet": lambda p: f"本程序无法执行操作，{duration(float(p['seconds']))}后重试",
    "cannot_act": lambda p: f"本程序无法执行操作：{p['detail']}",
    "not_needed": "重启执行前服务已恢复，或已被重启",
    "stop_job": "单元的停止任务已在队列中",
    "host_restarted": "重启结果尚未确认，主机便已重新启动",
    "gpu_memory_held": lambda p: f"已结束的进程仍占用 GPU {p['gpu']} 的显存 {float(p['value']) / 2**30:.1f} GiB",
    "vanished": lambda p: f"{p['rule']} 已结束：{p['series']} 已不再有数据",
    "reloaded": lambda p: f"已重新读取配置：{_tell_changes(p)}",
    "config_fault": lambda p: f"{p['fault']}{_more(p)}",
    "config_rejected": lambda p: f"{p['fault']}{_more(p)}；原配置继续生效",
    "taken_out": "已从配置中移除",
    "another_in_its_place": "该名称在配置中已改指另一个单元或另一种重启方式",
    "interrupted": "重启执行前本程序已停止",
    "breaker_reset": lambda p: f"uid {p['uid']} 关闭了熔断器",
    "record_unwritable": lambda p: str(p["detail"]),
    "clock_stepped": lambda p: f"系统时钟被调{'快' if float(p['seconds']) > 0 else '慢'} {duration(abs(float(p['seconds'])))}",
    "held_up": lambda p: f"本程序停顿了 {duration(float(p['seconds']))}：被挂起，或得不到 CPU",
    "host_slept": lambda p: f"主机休眠了 {duration(float(p['seconds']))}",
    "common_cause": lambda p: f"{p['services']} 个服务同时异常，推迟 {duration(float(p['seconds']))}再重启",
    "one_at_a_time": lambda p: f"{p['services']} 个服务同时异常，逐个重启，当前为 {p['other']}",
    "fail_together": lambda p: f"{p['services']} 个服务同时异常：{p['names']}；稍后逐个重启",
    "just_back": lambda p: f"本程序刚从停顿中恢复，再观察 {duration(float(p['seconds']))}后才会重启服务",
    "daemon_started": lambda p: f"model-watchdog {p['version']} 开始监控 {p['services']} 个服务",
    "daemon_stopped": "model-watchdog 已停止",
    "daemon_died": "上次运行并非正常停止：被杀死、崩溃，或挂起后被 systemd 结束（journalctl -u model-watchdog）",
    "told": lambda p: f"已通知 {p['notifier']}：{p['title']}",
    "not_told": lambda p: f"暂时无法通知 {p['notifier']}：{p['detail']}",
    "undeliverable": lambda p: f"一天内未能通知 {p['notifier']}：{p['title']}（{p['detail']}）",
    "notifier_gone": lambda p: f"配置中已没有通知渠道 {p['notifier']}，不再通知：{p['title']}",
    "would_tell": lambda p: f"本应通知 {p['notifier']}：{p['title']}",
    "gpu_driver_silent": "GPU 驱动无应答，GPU 状态未知；不会因此重启任何服务",
    "gpu_driver_crashes": "GPU 驱动库每次调用都崩溃（连续 3 次），GPU 状态未知",
    "gpu_driver_gone": lambda p: f"此前可见 GPU，现在：{p['detail']}",
    "gpu_xid": lambda p: f"GPU 驱动报告 GPU {p['gpu']}（{p['uuid']}）出现 Xid {p['xid']}，含义见 NVIDIA Xid 错误目录",
    "disk_missing": lambda p: f"无法测量 {p['mount']}：{p['detail']}",
    "disk_silent": lambda p: f"{p['mount']} 无应答：其服务端已离线或挂起",
    "note": lambda p: str(p["text"]),
    "notifier_misconfigured": lambda p: f"通知渠道 {p['notifier']} 配置有误：被对方拒绝（{p['detail']}）",
    "digest": lambda p: f"{duration(float(p['seconds']))}内 {p['count']} 条消息：{_count_severities(p)}",
    "healed": lambda p: (
        f"{duration(float(p['within']))}内有 {p['count']} 个事件自动恢复：重启 {p['restarts']} 次，异常共 {duration(float(p['seconds']))}"
    ),
    "goes_on": lambda p: f"已持续 {duration(float(p['seconds']))}" + (f"（{p['notifier']}）" if p["notifier"] else ""),
    "not_acknowledged": lambda p: f"{duration(float(p['seconds']))}前已通知 {p['notifier']}，至今无人确认",
    "report_made": lambda p: f"已生成 {p['since']} 至 {p['until']} 的报告：{p['path']}",
    "report_failed": lambda p: f"无法生成 {p['since']} 至 {p['until']} 的报告：{p['detail']}",
    "digest_more": lambda p: f"另有 {p['count']} 条",
}
