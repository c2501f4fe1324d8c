"""What probes, recoveries, notifiers and the record say of a failure, in Chinese: English template to Chinese template.

Blanks that hold a number are named in `language.NUMBERS`, those that hold one of the texts of `PARTS` in `language.TEXTS`.
"""

DETAILS = {
    # http, tcp
    "connection refused": "连接被拒绝",
    "connection lost": "连接中断",
    "connection lost: the answer did not come, or not all of it": "连接中断：没有收到应答，或应答不完整",
    "the connection timed out": "连接超时",
    "the connection was not made in time": "未能及时建立连接",
    "no answer within {seconds} s": "{seconds} 秒内无应答",
    "no connection within {seconds} s": "{seconds} 秒内未能建立连接",
    "no connection: {cause}": "无法建立连接：{cause}",
    "connected": "已连接",
    "status {code}": "状态码 {code}",
    "redirect {code}": "重定向 {code}",
    "body too large: more than {count} KiB": "响应体过大：超过 {count} KiB",
    "unexpected body: {why}; it is {body}": "响应体不符：{why}；内容为 {body}",
    "good, but after {seconds} s; max_duration is {limit} s": "应答正常，但耗时 {seconds} 秒；max_duration 为 {limit} 秒",
    "not HTTP: {body}": "不是 HTTP：{body}",
    "the request cannot be sent as it is configured": "按当前配置无法发送请求",
    "tls: {why}": "TLS：{why}",
    "ca_file {path}: {why}": "ca_file {path}：{why}",
    "the name {host} was not looked up within {seconds} s": "域名 {host} 在 {seconds} 秒内未解析出结果",
    "the name {host} was not looked up: {count} lookups have not been answered yet": "域名 {host} 未解析：{count} 个解析请求尚无应答",
    "the name {host} cannot be looked up: {cause}": "域名 {host} 无法解析：{cause}",
    "the name cannot be looked up: {cause}": "域名无法解析：{cause}",
    "no thread can be started to look a name up": "无法启动线程来解析域名",
    "the watchdog cannot connect: {cause}": "本程序无法发起连接：{cause}",
    "the watchdog itself was held up for {seconds} s, so that the time-out says nothing": "本程序停顿了 {seconds} 秒，此次超时不作数",
    "a bug in the watchdog: {cause}": "本程序的缺陷：{cause}",
    # log
    "{file} is not there (yet)": "{file} 尚不存在",
    "{file} cannot be read: {cause}": "{file} 无法读取：{cause}",
    "{count} MB behind: the log grows faster than it is read": "落后 {count} MB：日志增长快于读取",
    "the file was truncated, and is read from its start": "文件被截断，从头读取",
    "the place in the journal is lost: it goes on by its time": "journal 中的位置已丢失：按时间继续",
    "journalctl is not there": "没有 journalctl",
    "journalctl cannot read the journal: {rest}": "journalctl 无法读取日志：{rest}",
    "the journal grows faster than it is read": "系统日志的增长快于读取速度",
    "journalctl gave no answer within {seconds} s": "journalctl 在 {seconds} 秒内无应答",
    "{file} lies on a file system that may hang ({kind}): have the service write to a local disk, or to the journal": (
        "{file} 位于可能卡死的文件系统（{kind}）：请让服务写到本地磁盘或 journal"
    ),
    # scrape, json, canary
    "{place}; is the path right? {what}": "{place}；请检查路径。{what}",
    "this is no page of metrics: it is {body}; is the path right? {what}": "这不是指标页：内容为 {body}；请检查路径。{what}",
    "{count} of {limit} series": "取 {limit} 个序列中的 {count} 个",
    "{place}; no line bears a level: is it format: {format}, and level: {level}?": (
        "{place}；各行均无级别：format: {format}、level: {level} 是否正确？"
    ),
    "no line bears a level: is it format: {format}, and level: {level}?": "各行均无级别：format: {format}、level: {level} 是否正确？",
    "{place}; it wants a key: state bearer:": "{place}；需要密钥：请写 bearer:",
    "{place}; not on the page: {names}": "{place}；页面上没有：{names}",
    "{place}; the watchdog's own, and left out: {names}": "{place}；由本程序自己测量，已略去：{names}",
    "{place}; {more} more than the {most} that are kept: name fewer in keep": "{place}；另有 {more} 个超出上限 {most}：keep 应少列一些",
    "there is no such page here ({why})": "没有这个页面（{why}）",
    "this is no JSON: {body}": "这不是 JSON：{body}",
    "no number at {path}": "{path} 处没有数值",
    "{file} holds no list of numbers: {cause}": "{file} 中不是数值列表：{cause}",
    "{file} is larger than {count} MiB": "{file} 大于 {count} MiB",
    "no model is loaded, or for long enough: there is nothing to ask": "没有加载模型，或即将卸载：无从发问",
    "the answer is no JSON: {body}; is it the right url?": "应答不是 JSON：{body}；请检查 url",
    "the answer is none of this API: {cause}; is it the right url and endpoint?": "应答不属于该接口：{cause}；请检查 url 和 endpoint",
    "the server is busy: the request was turned away": "服务繁忙：请求被拒绝",
    "the server names no model (/v1/models); state model:": "服务没有列出任何模型（/v1/models）；请写明 model:",
    "the server says: {said}": "服务答复：{said}",
    "{place}; the server says: {said}; asked was {asked}": "{place}；服务答复：{said}；所问：{asked}",
    "{place}; asked was {asked}": "{place}；所问：{asked}",
    "there is no {path} in the answer: {body}": "应答中没有 {path}：{body}",
    "answered {said}": "应答为 {said}",
    "the answer is empty": "应答为空",
    "the answer is one character repeated: {said}": "应答是同一个字符的重复：{said}",
    "the answer is {said}": "应答为 {said}",
    'the answer does not contain "{text}": {said}': "应答中没有“{text}”：{said}",
    "the answer does not match {regex}: {said}": "应答与 {regex} 不匹配：{said}",
    "the embedding is empty": "向量为空",
    "the embedding is all zeros": "向量全为零",
    "the embedding holds numbers that are none (NaN or infinite)": "向量中含有非数值（NaN 或无穷大）",
    "the embedding has {count} numbers, and the reference {limit}": "向量有 {count} 维，而参考向量有 {limit} 维",
    "the embedding lies {far} from the reference, more than {limit}": "向量与参考向量的距离为 {far}，超过 {limit}",
    "the answer's {path} is {said}, not {wanted}": "应答中的 {path} 为 {said}，而不是 {wanted}",
    # command
    "{program} was not done within {seconds} s and was killed": "{program} 在 {seconds} 秒内未结束，已被杀死",
    "{program} cannot be run: {cause}": "{program} 无法运行：{cause}",
    "{program} cannot tell: exit code {code}": "{program} 无法判断：退出码 {code}",
    "{program} cannot tell: exit code {code}, {said}": "{program} 无法判断：退出码 {code}，{said}",
    "{program} cannot tell: signal {code}": "{program} 无法判断：信号 {code}",
    "{program} cannot tell: signal {code}, {said}": "{program} 无法判断：信号 {code}，{said}",
    "{program} ended with exit code {code}": "{program} 以退出码 {code} 结束",
    "{program} ended with exit code {code}: {said}": "{program} 以退出码 {code} 结束：{said}",
    "{program} ended with signal {code}": "{program} 被信号 {code} 终止",
    "{program} ended with signal {code}: {said}": "{program} 被信号 {code} 终止：{said}",
    # unit, process
    "the service has no unit": "该服务没有单元",
    "not asked: the unit is down": "未探测：单元未运行",
    "the unit has no processes": "单元没有进程",
    "{count} process": "{count} 个进程",
    "{count} processes": "{count} 个进程",
    "the main process (pid {pid}) has ended, and systemd does not know: it is a zombie that nobody waits for": (
        "主进程（pid {pid}）已退出而 systemd 不知情：它成了无人回收的僵尸进程"
    ),
    "systemd did not answer within {seconds} s": "systemd 在 {seconds} 秒内无应答",
    # systemd and its journal
    "systemctl show ended with {code}": "systemctl show 以退出码 {code} 结束",
    "systemctl ended with {code}": "systemctl 以退出码 {code} 结束",
    "systemctl restart {unit} was not done within {seconds} s; its job is left to systemd": (
        "systemctl restart {unit} 在 {seconds} 秒内未完成，任务交由 systemd 继续"
    ),
    "systemctl reset-failed was not answered": "systemctl reset-failed 无应答",
    "{unit}: start request repeated too quickly (StartLimitBurst=)": "{unit}：启动过于频繁（StartLimitBurst=）",
    "systemctl was not found in PATH: install systemd, or use recovery: {{kind: command}}": (
        "PATH 中没有 systemctl：请安装 systemd，或使用 recovery: {{kind: command}}"
    ),
    "{name} was not found in PATH: install systemd, or put it into PATH": "PATH 中没有 {name}：请安装 systemd，或将其加入 PATH",
    "{name} did not answer within {seconds} s": "{name} 在 {seconds} 秒内无应答",
    "the question to systemd was given up": "对 systemd 的查询已放弃",
    "the journal shows nothing of systemd; is the user in the group systemd-journal?": (
        "日志中没有 systemd 的记录；请确认用户在 systemd-journal 组中"
    ),
    "the journal does not reach back to the start of the system": "日志没有保留到系统启动之时",
    "the journal does not say how the unit ended": "日志没有说明单元如何结束",
    "the journal keeps no info lines of systemd about it (LogLevelMax=, MaxLevelStore=)": (
        "日志没有保留 systemd 关于它的 info 级记录（LogLevelMax=、MaxLevelStore=）"
    ),
    "{name} ended and took it down; {other} is back": "{name} 退出并将其一同带停；{other} 已恢复",
    "a unit that it requires": "其依赖的某个单元",
    "systemd's own Restart=": "systemd 自身的 Restart=",
    "somebody else": "他人",
    "the right to restart the unit is proved": "已确认拥有重启该单元的权限",
    "the watchdog was restarted; it verifies the restart under way": "本程序已重新启动，正在验证进行中的重启",
    # GPUs and disks
    "{name} does not answer (process {pid} hangs in it)": "{name} 无应答（进程 {pid} 挂起）",
    "{name} does not answer (no answer within {seconds} s)": "{name} 无应答（{seconds} 秒内）",
    "{name}: the process that asks it cannot be started: {cause}": "{name}：无法启动查询进程：{cause}",
    "{name}: the process that asks it {what}": "{name}：查询进程{what}",
    "the driver was just opened": "驱动刚刚打开",
    "GPU {gpu} is lost: {what}": "GPU {gpu} 掉卡：{what}",
    "GPU {gpu} is lost: the driver does not name it any more": "GPU {gpu} 掉卡：驱动中已不存在",
    "the Python package nvidia-ml-py cannot be imported: {cause}": "无法导入 Python 包 nvidia-ml-py：{cause}",
    "the NVIDIA driver cannot be opened: {cause}": "无法打开 NVIDIA 驱动：{cause}",
    "GPU {gpu}: pid {pid} has ended and holds {count} MiB": "GPU {gpu}：进程（pid {pid}）已退出，仍占用 {count} MiB 显存",
    "GPU {gpu}: {name} of {value} cannot be": "GPU {gpu}：{name} 的值 {value} 不可能成立",
    "the NVIDIA driver has been unloaded": "NVIDIA 驱动已卸载",
    "the NVIDIA driver is not loaded": "NVIDIA 驱动未加载",
    "no NVIDIA driver library found (libnvidia-ml.so.1)": "未找到 NVIDIA 驱动库（libnvidia-ml.so.1）",
    "the NVIDIA driver and its library are of different versions; a reboot mends that": "NVIDIA 驱动与其库版本不一致，重启主机即可",
    # notifiers
    "the notifier failed with {cause}": "通知渠道出错：{cause}",
    "apprise failed with {cause}": "apprise 出错：{cause}",
    "apprise could not send it and did not say why": "apprise 未能发送，且未说明原因",
    "this address names no topic; write {form}": "地址中没有主题（topic）；应写作 {form}",
    "the provider refuses it: errcode={code} {said}": "对方拒绝：errcode={code} {said}",
    "the child process that sends could not be started: {cause}": "无法启动发送子进程：{cause}",
    "the child process that sends ended without an answer (exit {code})": "发送子进程未给出结果便已结束（退出码 {code}）",
    "the child process that sends ended without an answer (killed by signal {code})": "发送子进程未给出结果便已结束（被信号 {code} 杀死）",
    "the Python package apprise cannot be imported: {cause}": "无法导入 Python 包 apprise：{cause}",
    # containers
    "the container {name} is not found among the monitors of podman and docker; docker tells its number to nobody else: "
    "start it with docker run --cidfile FILE, and let FILE be readable": (
        "在 podman 和 docker 的监护进程中找不到容器 {name}；docker 不向其他用户透露容器编号："
        "请用 docker run --cidfile FILE 启动，并让 FILE 可读"
    ),
    "the model {name} was to be unloaded {minutes} min ago, and is still there: its runner hangs": (
        "模型 {name} 应在 {minutes} 分钟前卸载，却仍在：其 runner 已卡死"
    ),
    # the record
    "{path}: the record cannot be written: {why}": "{path}：无法写入记录：{why}",
    "{path}: the record was damaged ({cause}); it is kept as {aside}, and a new one has begun": (
        "{path}：记录已损坏（{cause}），已另存为 {aside}，并新建了记录"
    ),
    "the systemd of {name} did not answer within {seconds} s": "{name} 的 systemd 在 {seconds} 秒内无应答",
    "no systemd of {name} runs: nobody is logged in, and it does not linger (loginctl enable-linger {name})": (
        "{name} 的 systemd 未运行：无人登录，且未启用 linger（loginctl enable-linger {name}）"
    ),
    "the systemd of {name} cannot be asked: {path}: {cause} (sudo watchdog install)": (
        "无法访问 {name} 的 systemd：{path}：{cause}（sudo watchdog install）"
    ),
    "{path}: the record was deleted or moved away while the daemon ran; a new one has begun": "{path}：运行期间记录被删除或移走，已新建",
    "{path}: the record was empty (0 bytes); a new one has begun": "{path}：记录为空（0 字节），已新建",
}

PARTS = {
    # scrape
    "{count} of {limit} series": "取 {limit} 个序列中的 {count} 个",
    "{place}; it wants a key: state bearer:": "{place}；需要密钥：请写 bearer:",
    "{place}; not on the page: {names}": "{place}；页面上没有：{names}",
    "{place}; {more} more than the {most} that are kept: name fewer in keep": "{place}；另有 {more} 个超出上限 {most}：keep 应少列一些",
    "vLLM, SGLang, TGI and llama.cpp serve /metrics (SGLang with --enable-metrics, llama.cpp with --metrics), Triton on port 8002": (
        "vLLM、SGLang、TGI 和 llama.cpp 为 /metrics（SGLang 需 --enable-metrics，llama.cpp 需 --metrics），Triton 在 8002 端口"
    ),
    "the certificate has expired": "证书已过期",
    "the certificate is not valid yet": "证书尚未生效",
    "the certificate is self-signed": "证书为自签名",
    "the certificate chain ends in a self-signed certificate that is not trusted": "证书链末端是不受信任的自签名证书",
    "the certificate's issuer is not trusted": "证书颁发者不受信任",
    "the certificate has been revoked": "证书已被吊销",
    "the certificate is for another name": "证书与域名不符",
    "the certificate is for another address": "证书与 IP 地址不符",
    "the certificate cannot be verified": "证书无法验证",
    "the server does not speak TLS; is the URL to be http://?": "服务端不支持 TLS；url 是否应为 http://？",
    "the server broke the handshake off": "服务端中断了握手",
    "the handshake failed": "握手失败",
    "it holds no certificate in PEM form": "其中没有 PEM 格式的证书",
    "it cannot be read: {cause}": "无法读取：{cause}",
    'it does not contain "{text}"': "不含“{text}”",
    "it is not UTF-8": "不是 UTF-8",
    "it is not JSON": "不是 JSON",
    "it is not JSON{cause}": "不是 JSON{cause}",
    "it is encoded ({coding}), though that was not asked for": "内容经过编码（{coding}），但并未要求编码",
    "{path} is {found}, not {wanted}": "{path} 为 {found}，应为 {wanted}",
    "{path} is missing, not {wanted}": "缺少 {path}，应为 {wanted}",
    "the driver does not name it any more": "驱动中已不存在",
    "was killed by {signal}": "被 {signal} 杀死",
    "ended with exit {code}": "以退出码 {code} 结束",
    "the disk is full; free some space on the file system of {directory}": "磁盘已满；请清理 {directory} 所在的文件系统",
    "the file or its file system is read-only; make {directory} writable for the daemon's user": (
        "文件或其文件系统只读；请让守护进程的用户可写 {directory}"
    ),
    "it cannot be opened for writing; make {directory} writable for the daemon's user": (
        "无法以写方式打开；请让守护进程的用户可写 {directory}"
    ),
    "another program has locked it; end that one (fuser {path} names it)": "被其他程序锁定；请结束该程序（用 fuser {path} 查找）",
    "the disk reports an error; look at the kernel's log: journalctl -k": "磁盘报错；请查看内核日志：journalctl -k",
}
"""What stands only within one of the above."""
