"""Chinese: what stands for each English template of `phrase`. The sentences of reasons are in `wording.zh`."""

from model_watchdog.language.zh_telling import TELLING

PHRASES = {
    **TELLING,
    # words
    "healthy": "健康",
    "loading": "加载中",
    "busy": "繁忙",
    "degraded": "降级",
    "unhealthy": "异常",
    "stalled": "停滞",
    "dead": "宕机",
    "stopped": "已停止",
    "sleeping": "休眠",
    "unknown": "未知",
    "paused": "已暂停",
    "paused, {state}": "已暂停，{state}",
    "restarting": "重启中",
    "verifying": "验证中",
    "critical": "严重",
    "warning": "警告",
    "info": "提示",
    "recovered": "已恢复",
    "failed": "失败",
    "withdrawn": "已取消",
    "interrupted": "已中断",
    "active": "运行中",
    "dry-run": "演练模式",
    "not running": "未运行",
    "none": "无",
    "soon": "即将开始",
    "loaded": "已加载",
    "; ": "；",
    ", ": "、",
    "Mon": "周一",
    "Tue": "周二",
    "Wed": "周三",
    "Thu": "周四",
    "Fri": "周五",
    "Sat": "周六",
    "Sun": "周日",
    "{seconds} s": "{seconds} 秒",
    "{minutes} min": "{minutes} 分钟",
    "{hours} h {minutes} min": "{hours} 小时 {minutes} 分",
    "1 day": "1 天",
    "{days} days": "{days} 天",
    # messages
    "[{severity}] {host}: ": "[{severity}] {host}：",
    "the watchdog": "本程序",
    "{subject}: {rule} fires": "{subject}：{rule} 告警",
    "{subject}: {rule} is over": "{subject}：{rule} 已恢复",
    "{rule} fires": "{rule} 告警",
    "{rule} is over": "{rule} 已恢复",
    "{subject} was restarted and is well again": "{subject} 已自动重启并恢复正常",
    "{subject} is down and could not be restarted": "{subject} 宕机，重启未能恢复",
    "{subject} is well again": "{subject} 已恢复正常",
    "{subject} cannot be restarted by the watchdog": "{subject} 无法由本程序重启",
    "the watchdog cannot do its work": "本程序无法正常工作",
    "{services} cannot be restarted by the watchdog": "{services} 无法由本程序重启",
    "{services} can be restarted by the watchdog again": "{services} 又可由本程序重启",
    "{subject} was stopped on purpose": "{subject} 被人工停止",
    "{subject} is masked": "{subject} 已被 mask",
    "{subject} is paused": "{subject} 已暂停自动重启",
    "the clock was stepped": "系统时钟跳变",
    "GPU {gpu} reported an error: Xid {xid}": "GPU {gpu} 报错：Xid {xid}",
    "many services fail together": "多个服务同时异常",
    "the record has been replaced": "记录已新建",
    "the new configuration was rejected": "新配置被拒绝",
    "{subject} is no longer watched": "{subject} 不再监控",
    "watchdog check   ·   after mending: watchdog reload": "watchdog check   ·   修复后：watchdog reload",
    "1 fault; the configuration before stays in force.": "1 处错误；原配置继续生效。",
    "{count} faults; the configuration before stays in force.": "{count} 处错误；原配置继续生效。",
    " (and 1 included file)": "（另含 1 个文件）",
    " (and {count} included files)": "（另含 {count} 个文件）",
    "CONFIG": "配置",
    "notifier {name}: its address is not known here; the daemon may know it": "通知渠道 {name}：此处无从得知其地址，守护进程或许知道",
    "journal of {user} readable": "{user} 的日志可读",
    "timeout 10 nvidia-smi --query-compute-apps=pid,used_memory --format=csv   ·   nvidia-smi --gpu-reset, or a reboot": (
        "timeout 10 nvidia-smi --query-compute-apps=pid,used_memory --format=csv   ·   nvidia-smi --gpu-reset，或重启主机"
    ),
    "up {duration}": "已运行 {duration}",
    "{services}: {bad}": "{services}：{bad}",
    "{count} critical": "{count} 个严重",
    "{count} warning": "{count} 个警告",
    "{hours} h": "{hours} 小时",
    "{used} of {total} GiB": "{used} / {total} GiB",
    "lost": "丢失",
    "rejected, the one before stays in force: {reason}": "被拒绝，原配置继续生效：{reason}",
    "the daemon is being stopped": "守护进程正在停止",
    "a bug in the watchdog: {cause}; see its log": "本程序的缺陷：{cause}；请查看其日志",
    "a test message from model-watchdog": "model-watchdog 测试消息",
    "{count} messages at once": "短时间内 {count} 条消息",
    "{host}: test message of model-watchdog": "{host}：model-watchdog 测试消息",
    "If you read this, messages arrive.": "收到此消息，说明通知渠道畅通。",
    "What": "现象",
    "Since": "开始",
    "Until": "截至",
    "Done": "处置",
    "Result": "结果",
    "Last log": "日志",
    "Told": "内容",
    "Next": "建议",
    "   ·   first: {reason}": "   ·   最初：{reason}",
    "   ·   after mending: watchdog reset {service}": "   ·   修复后：watchdog reset {service}",
    "good again {duration} after the last restart": "最后一次重启 {duration}后恢复正常",
    "1 restart ({times})": "重启 1 次（{times}）",
    "{count} restarts ({times})": "重启 {count} 次（{times}）",
    ", all failed": "，全部失败",
    ", {count} failed": "，{count} 次失败",
    "; last: {reason}": "；最近一次：{reason}",
    "; breaker open, next trial {moment}": "；熔断器已打开，下次试探 {moment}",
    # what is to be done
    "sudo watchdog install   ·   it is noticed within 5 minutes": "sudo watchdog install   ·   5 分钟内自动识别",
    "sudo systemctl unmask {at}": "sudo systemctl unmask {at}",
    "systemctl status {at}   ·   mend the name in config.yaml, then: watchdog check": (
        "systemctl status {at}   ·   修正 config.yaml 中的名称，然后：watchdog check"
    ),
    "systemctl status dbus polkit   ·   journalctl -u model-watchdog -n 50": (
        "systemctl status dbus polkit   ·   journalctl -u model-watchdog -n 50"
    ),
    "reboot the host; a process that cannot be killed holds the service's memory": "重启主机；有无法杀死的进程占用着该服务的内存",
    "df -h /var/lib/model-watchdog   ·   ls -ld /var/lib/model-watchdog": (
        "df -h /var/lib/model-watchdog   ·   ls -ld /var/lib/model-watchdog"
    ),
    "journalctl {journal} -n 20   ·   if that is empty for the daemon: sudo usermod -aG systemd-journal model-watchdog": (
        "journalctl {journal} -n 20   ·   若守护进程读不到内容：sudo usermod -aG systemd-journal model-watchdog"
    ),
    "renew the certificate, or state ca_file in config.yaml": "更新证书，或在 config.yaml 中指定 ca_file",
    "systemctl list-dependencies {at}": "systemctl list-dependencies {at}",
    "watchdog check --show   ·   mend the probe in config.yaml, then: watchdog reload": (
        "watchdog check --show   ·   修正 config.yaml 中的探测后执行：watchdog reload"
    ),
    "journalctl -k -g NVRM -n 20   ·   a lost GPU needs a reset (nvidia-smi --gpu-reset) or a reboot of the host": (
        "journalctl -k -g NVRM -n 20   ·   掉卡的 GPU 需要复位（nvidia-smi --gpu-reset）或重启主机"
    ),
    "timeout 10 nvidia-smi   ·   journalctl -k -g NVRM -n 20": "timeout 10 nvidia-smi   ·   journalctl -k -g NVRM -n 20",
    "mend notifiers.{name} in config.yaml   ·   then: watchdog notify-test {name}": (
        "修正 config.yaml 中的 notifiers.{name}   ·   然后：watchdog notify-test {name}"
    ),
    "watchdog check   ·   is the program of recovery.command there, and may the daemon's user run it?": (
        "watchdog check   ·   请确认 recovery.command 中的程序存在，且守护进程的用户可以执行"
    ),
    # events: what stands before a reason
    "{reason}": "{reason}",
    "trial: started, because {reason}": "试探重启：开始，原因：{reason}",
    "restart not made: {reason}": "未重启：{reason}",
    "recovered: {reason}": "已恢复：{reason}",
    "gave up: {reason}": "放弃重启：{reason}",
    "not restarted: {reason}": "不重启：{reason}",
    "alert: {reason}": "告警：{reason}",
    "circuit breaker closed: {reason}": "熔断器关闭：{reason}",
    "busy: {reason}": "繁忙：{reason}",
    "degraded: {reason}": "降级：{reason}",
    "unhealthy: {reason}": "异常：{reason}",
    "dead: {reason}": "宕机：{reason}",
    "sleeping: {reason}": "休眠：{reason}",
    "unknown: {reason}": "未知：{reason}",
    "stalled: {reason}": "停滞：{reason}",
    "nothing happened": "没有事件",
    "nothing happened to {service}": "{service} 没有事件",
    " in the last {duration}": "（最近 {duration}）",
    "the daemon is not running, so nothing new is recorded; start it: systemctl start model-watchdog": (
        "守护进程未运行，不会有新的记录；启动命令：systemctl start model-watchdog"
    ),
    # status
    "watching {count} services": "正在监控 {count} 个服务",
    "watching {count} services, {bad} bad": "正在监控 {count} 个服务，{bad} 个异常",
    "SERVICE": "服务",
    "STATE": "状态",
    "SINCE": "持续",
    "REASON": "原因",
    "HOST": "主机",
    "ALERTS": "告警",
    "PROBLEM": "问题",
    "MESSAGES": "消息",
    "1 service": "1 个服务",
    "{count} services": "{count} 个服务",
    "no services": "没有服务",
    "{count} {state}": "{count} 个{state}",
    "{service} {state} ({reason})": "{service} {state}（{reason}）",
    "{service}: {reason}": "{service}：{reason}",
    "{rule} fires for {service}": "{service} 的 {rule} 告警",
    "{alert} ({duration})": "{alert}（{duration}）",
    "gave up": "已放弃重启",
    "gave up; {reason}": "已放弃重启；{reason}",
    "gave up after {count} failed restarts": "重启 {count} 次失败后放弃",
    "; next trial {moment} · after mending: watchdog reset {service}": "；下次试探 {moment} · 修复后：watchdog reset {service}",
    "paused until {moment}": "暂停至 {moment}",
    "looking again before it is restarted": "重启前再次确认",
    "keeping the evidence": "保存现场",
    "stopping the old process": "停止旧进程",
    "starting a new process": "启动新进程",
    "verifying: good for {held} s of {stable} s": "验证中：已稳定 {held} 秒，共需 {stable} 秒",
    "verifying: {reason}": "验证中：{reason}",
    "may be restarted once: what was known of earlier restarts is lost": "只可重启一次：此前的重启记录已丢失",
    "may not restart {services}": "无权重启 {services}",
    "cpu {percent} %": "CPU {percent}%",
    "memory {percent} %": "内存 {percent}%",
    "disk {mount} {percent} %": "磁盘 {mount} {percent}%",
    "load {load}": "负载 {load}",
    "none sent": "0 条",
    "{count} sent to {notifier}": "{notifier} {count} 条",
    "{told} today · {count} waiting": "今日已发送 {told} · 待发送 {count} 条",
    " · {count} undeliverable": " · 无法送达 {count} 条",
    "configuration rejected: {reason}": "新配置被拒绝：{reason}",
    "dry run: nothing is restarted": "演练模式：不会重启任何服务",
    "the daemon is not running, or does not answer; what is shown is old; {start}": "守护进程未运行或无应答，以下为旧状态；{start}",
    "if that fails: {commands}": "若启动失败：{commands}",
    "{summary}; below is what was last known": "{summary}；下面是最后已知的状态",
    "the record is {seconds} s old although the daemon answers": "守护进程有应答，但记录已 {seconds} 秒未更新",
    "nothing is in the record although the daemon answers": "守护进程有应答，但记录为空",
    # commands and their answers
    '; did you mean "{word}"?': "；是否想输入“{word}”？",
    " (there are: {names})": "（现有：{names}）",
    "there is no service {name}": "没有服务 {name}",
    "there is no notifier {name}": "没有通知渠道 {name}",
    'no such service: "{name}"': "没有该服务：“{name}”",
    "{service} is paused: it is watched, but not restarted": "{service} 已暂停：继续监控，但不重启",
    "{service} are paused: they are watched, but not restarted": "{service} 已暂停：继续监控，但不重启",
    "{service} is no longer paused": "{service} 已结束暂停",
    "{service} is not paused": "{service} 并未暂停",
    "the circuit breaker of {service} is closed": "{service} 的熔断器已关闭",
    "{service} is not restarted: {reason}": "{service} 未重启：{reason}",
    "{service}: {result}: {reason}": "{service}：{result}：{reason}",
    "restarting {service}; waiting until it has proved itself (watchdog status shows how far it is) …": (
        "正在重启 {service}，等待验证完成（进度见 watchdog status）……"
    ),
    "the daemon is in a dry run: it acts on nothing": "守护进程处于演练模式，不执行任何操作",
    "; the record cannot be written, so a restart of the daemon would forget it: df -h {directory}": (
        "；记录无法写入，守护进程重启后会丢失此设置：df -h {directory}"
    ),
    "bad request: no command {name}": "请求有误：没有命令 {name}",
    "bad request: pause needs seconds and a reason": "请求有误：pause 需要时长和原因",
    "bad request: restart needs a reason": "请求有误：restart 需要原因",
    "bad request: a pause lasts at most {duration}, and more than 0 s": "请求有误：暂停时长须大于 0 秒，最长 {duration}",
    "bad request: one JSON object with a command on one line is expected": "请求有误：应为一行含 command 的 JSON 对象",
    "busy: too many connections; try again": "繁忙：连接过多，请重试",
    "not allowed: only root and members of the group {group} may; sudo usermod -aG {group} USER": (
        "无权操作：仅限 root 和 {group} 组成员；sudo usermod -aG {group} USER"
    ),
    "the client has gone": "客户端已断开",
    "{path}: not allowed for this user; use sudo, or join the group: {remedy}": (
        "{path}：当前用户无权访问；请使用 sudo，或加入用户组：{remedy}"
    ),
    "the daemon ended before it had answered, and what was asked may be under way; see: watchdog status": (
        "守护进程未应答便已结束，所请求的操作可能正在进行；请查看 watchdog status"
    ),
    "the daemon is not running, or does not answer ({path}: {error}); start it: systemctl start model-watchdog": (
        "守护进程未运行或无应答（{path}：{error}）；启动命令：systemctl start model-watchdog"
    ),
    "{name}: sent": "{name}：已发送",
    "{name}: failed: {error}": "{name}：失败：{error}",
    "there are no notifiers in the configuration; nobody would be told": "配置中没有通知渠道，出事时无人收到通知",
    "warning: {fault}": "警告：{fault}",
    "1 fault; nothing was changed.": "1 处错误；未做任何更改。",
    "{count} faults; nothing was changed.": "{count} 处错误；未做任何更改。",
    "{path}: ok: {counts}": "{path}: 有效：{counts}",
    "1 probe": "1 个探测",
    "{count} probes": "{count} 个探测",
    "1 notifier": "1 个通知渠道",
    "{count} notifiers": "{count} 个通知渠道",
    # a wrong command line, and a daemon that cannot be started by hand
    "watchdog: which command? (watchdog --help lists them)": "watchdog: 要执行哪条命令？（watchdog --help 列出全部）",
    "watchdog: {name} arrives later; this is version {version}": "watchdog: {name} 尚未支持；当前版本为 {version}",
    'watchdog: no such command "{name}"{near} (watchdog --help lists them)': "watchdog: 没有命令“{name}”{near}（watchdog --help 列出全部）",
    'watchdog: no such option "{word}"{near} (watchdog --help lists them)': "watchdog: 没有选项“{word}”{near}（watchdog --help 列出全部）",
    "; a command's own options stand after the command": "；命令自己的选项写在命令之后",
    "watchdog: {option} needs a {what} after it": "watchdog: {option} 之后须有 {what}",
    "watchdog: for which shell? watchdog completion bash, zsh or fish": "watchdog: 用于哪种 shell？watchdog completion bash、zsh 或 fish",
    "{prog}: {fault} ({prog} --help shows the usage)": "{prog}: {fault}（用法见 {prog} --help）",
    '"{word}" is not understood here{near}': "无法识别“{word}”{near}",
    "another daemon runs already (pid {pid}) on {directory}; stop it first, or give this one --runtime-dir and --state-dir": (
        "已有守护进程（pid {pid}）使用 {directory}；请先停止它，或为本进程指定 --runtime-dir 和 --state-dir"
    ),
    "{path} is not a file of this user's alone; look where it comes from, and remove it: rm {path}": (
        "{path} 不是当前用户独有的文件；请查明来源后删除：rm {path}"
    ),
    "{path} is no regular file; look where it comes from, and remove it: rm {path}": "{path} 不是普通文件；请查明来源后删除：rm {path}",
    "{path} belongs to another user, from a run by hand; sudo watchdog install gives what lies in {directory} back": (
        "{path} 属于其他用户，是手动运行留下的；sudo watchdog install 会归还 {directory} 中的文件"
    ),
    "{directory} belongs to {name}, and what root leaves there would stop the daemon; run it as that user: {command}": (
        "{directory} 属于 {name}，root 留在其中的文件会使守护进程无法启动；请以该用户运行：{command}"
    ),
    "{directory}: {cause}; run it as its unit does (systemctl start model-watchdog), or state {option} DIR": (
        "{directory}：{cause}；请按其单元的方式运行（systemctl start model-watchdog），或指定 {option} DIR"
    ),
    "{directory}: not writable for this user; run it as its unit does, or state {option} DIR": (
        "{directory}：当前用户不可写；请按其单元的方式运行，或指定 {option} DIR"
    ),
    # the record
    "{path}: the record is empty": "{path}：记录为空",
    "{path}: the record is of an older version (schema {version}, this version reads {schema})": (
        "{path}：记录版本过旧（schema {version}，本版本读取 {schema}）"
    ),
    "; start the daemon once, it brings it up to date: watchdog run": "；启动一次守护进程即可升级：watchdog run",
    "{path}: the record cannot be read: {cause}": "{path}：无法读取记录：{cause}",
    "it is not a regular file; move it away, and restart model-watchdog.service": "不是普通文件；请移走它，并重启 model-watchdog.service",
    "{path}: no record there; is --state-dir right, and did the daemon ever run (watchdog run)?": (
        "{path}：没有记录；请确认 --state-dir 正确，且守护进程运行过（watchdog run）"
    ),
    "{path}: this user may not read the record; become a member of the group model-watchdog, or use sudo": (
        "{path}：当前用户无权读取记录；请加入 model-watchdog 组，或使用 sudo"
    ),
    "{path}: the record is damaged ({error}); restart model-watchdog.service: it moves it aside and begins a new one": (
        "{path}：记录已损坏（{error}）；重启 model-watchdog.service 后会将其另存并新建"
    ),
    "{path}: the record has schema {version}, this version of model-watchdog reads up to {schema}; "
    "upgrade model-watchdog again, or move the file away to begin a new record": (
        "{path}：记录的 schema 为 {version}，本版本最高支持 {schema}；请重新升级 model-watchdog，或移走该文件以新建记录"
    ),
    # doctor
    "the configuration was rejected, the one before stays in force: {reason}": "新配置被拒绝，原配置继续生效：{reason}",
    "{path} is valid": "{path} 有效",
    "the daemon runs (pid {pid})": "守护进程正在运行（pid {pid}）",
    "the daemon is not running; what follows is seen as this user": "守护进程未运行；以下为当前用户所见",
    "{error}; what follows is seen as this user": "{error}；以下为当前用户所见",
    "the daemon does not examine itself: {cause}": "守护进程未能自检：{cause}",
    "{name} is not installed": "未安装 {name}",
    "{name} does not answer: {cause}": "{name} 无应答：{cause}",
    "{name} {version} is too old; {wanted} is the oldest that will do": "{name} {version} 版本过旧，最低要求 {wanted}",
    "of an unknown version": "版本未知",
    "upgrade the system": "升级系统",
    "systemd cannot be asked: {detail}": "无法访问 systemd：{detail}",
    "{unit} runs the container {name} ({group})": "{unit} 运行容器 {name}（{group}）",
    "{unit} starts a container, whose work is not in its own group: without container: NAME it looks idle": (
        "{unit} 启动了容器，而容器的进程不在单元自己的 cgroup 中：不写 container: NAME，它看起来就是空闲的"
    ),
    "add container: NAME to the configuration": "在配置中加入 container: NAME",
    "systemd has no unit {unit} ({load})": "systemd 中没有单元 {unit}（{load}）",
    "systemctl status {unit}, and mend the name in the configuration": "systemctl status {unit}，并修正配置中的名称",
    "{unit} is masked: it is not restarted": "{unit} 已被 mask：不会重启",
    "{unit} is {active}: whether it may be restarted is seen when it is up": "{unit} 处于 {active}：运行后才能确认是否有权重启",
    "whether {unit} may be restarted cannot be told now": "目前无法确认是否有权重启 {unit}",
    "watchdog doctor, once more": "稍后再执行 watchdog doctor",
    "may restart {unit}": "有权重启 {unit}",
    "may not restart {unit} (Access denied)": "无权重启 {unit}（Access denied）",
    "journal readable": "日志可读",
    "the journal cannot be read: {detail}": "无法读取日志：{detail}",
    "the journal shows nothing of systemd: an operator's stop cannot be told from a failure": (
        "日志中看不到 systemd 的记录：无法区分人工停止与故障"
    ),
    "no NVIDIA driver is loaded: GPU rules are asleep": "未加载 NVIDIA 驱动：GPU 规则休眠",
    "the NVIDIA driver is loaded, but there is no /dev/nvidiactl": "NVIDIA 驱动已加载，但没有 /dev/nvidiactl",
    "NVIDIA driver {version}": "NVIDIA 驱动 {version}",
    "{service}: {probe} is not asked: {unit} is {active}": "{service}：未探测 {probe}：{unit} 处于 {active}",
    "{service}: {probe} is not run as root; the daemon runs it as its own user": (
        "{service}：不以 root 身份运行 {probe}；守护进程以自己的用户运行它"
    ),
    "{service}: {probe} is good ({seconds} s)": "{service}：{probe} 正常（{seconds} 秒）",
    "{service}: {probe}: {detail}": "{service}：{probe}：{detail}",
    "there are no notifiers: nobody would be told": "没有通知渠道：出事时无人收到通知",
    "add notifiers: to the configuration": "在配置中添加 notifiers:",
    "notifier {name}: no test message was sent": "通知渠道 {name}：未发送测试消息",
    "notifier {name} answered in {seconds} s (test message sent)": "通知渠道 {name} 在 {seconds} 秒内应答（已发送测试消息）",
    "notifier {name}: {error}": "通知渠道 {name}：{error}",
    "{path} is not writable: nothing can be recorded": "{path} 不可写：无法记录",
    "{path}: {count} MiB are left for the record": "{path}：记录只剩 {count} MiB 空间",
    "{count} GiB are left for the record": "记录剩余空间 {count} GiB",
    "the clock is synchronised": "时钟已同步",
    "the clock is not synchronised: times in messages may be wrong": "时钟未同步：消息中的时间可能有误",
    "timedatectl is not installed: whether the clock is kept right cannot be told": "未安装 timedatectl：无法确认时钟是否同步",
    "timedatectl does not answer: whether the clock is kept right cannot be told": "timedatectl 无应答：无法确认时钟是否同步",
    # export-rules
    "The rules of {path}, written by watchdog export-rules": "{path} 的规则，由 watchdog export-rules 导出",
    "not exported: {why}": "未导出：{why}",
    "Prometheus has no rolling_sigma": "Prometheus 没有 rolling_sigma 函数",
    "Prometheus looks at the series of every service here": "Prometheus 在此会查看所有服务的序列",
    "Prometheus has no baseline that learns": "Prometheus 没有自学习的基线",
    "it judges what is computed of samples, of which Prometheus has no past without a subquery": (
        "它判断的是由样本计算出的值，Prometheus 不用子查询就没有其历史"
    ),
}
