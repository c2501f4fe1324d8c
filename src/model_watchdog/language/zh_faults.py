"""The faults of a configuration, in Chinese: English template to Chinese template, as in `zh_details`.

A fault may be made of others: {why} and {what} are looked up here as well, and those that begin with {why} come first.
"""

FAULTS = {
    "{why}; did you mean {what}?": "{why}；是否想写 {what}？",
    "{why}; there is {names}": "{why}；可用的有 {names}",
    "{why} (variables are not replaced in rules)": "{why}（规则中不替换变量）",
    '"{text}" {why}': '"{text}" {why}',
    "the value of {origin} {why}": "{origin} 的值{why}",
    "the value {why}": "该值{why}",
    "{word}, which arrives later": "{word}（尚未支持）",
    # the file
    "is empty; config.example.yaml shows what can be in it": "为空；可写的内容见 config.example.yaml",
    "others may write to it, and root reads it; chmod o-w {path}": "其他用户可写，而 root 会读取它；chmod o-w {path}",
    "{path}: there is no such file; name one with --config, or let watchdog install write one": (
        "{path}: 没有该文件；用 --config 指定，或由 watchdog install 生成"
    ),
    "{path}:{line}:1: is not UTF-8; save it as UTF-8": "{path}:{line}:1: 不是 UTF-8；请另存为 UTF-8",
    "may not be read by this user; root and the group model-watchdog should be able to": (
        "当前用户无权读取；root 和 model-watchdog 组应当可读"
    ),
    "cannot be read: {cause}": "无法读取：{cause}",
    "is a directory; name the file in it": "是目录；请写其中的文件名",
    "is not a regular file": "不是普通文件",
    "has {size} bytes; at most {most} are read": "有 {size} 字节；最多读取 {most} 字节",
    "has more than {most} bytes, which is the most that is read": "超过 {most} 字节，这是读取的上限",
    "does not exist": "不存在",
    "is not UTF-8": "不是 UTF-8",
    # YAML
    "a NUL character; the file must be plain text": "含有 NUL 字符；文件必须是纯文本",
    "a control character (U+{code}); the file must be plain text": "含有控制字符（U+{code}）；文件必须是纯文本",
    "not YAML: {cause}": "不是 YAML：{cause}",
    "a second document begins here; one file holds one document": "此处开始第二个文档；一个文件只能有一个文档",
    "expected keys with values, such as services:": "应为键值对，例如 services:",
    "the alias *{name} is not allowed; defaults: is what it is wanted for": "不允许使用别名 *{name}；请改用 defaults:",
    "the anchor &{name} is not allowed; defaults: is what it is wanted for": "不允许使用锚点 &{name}；请改用 defaults:",
    "the tag {name} is not allowed; write the plain value": "不允许使用标签 {name}；请直接写值",
    "the merge key << is not allowed; defaults: is what it is wanted for": "不允许使用合并键 <<；请改用 defaults:",
    "is there twice; the first one is on line {line}": "重复出现；第一次在第 {line} 行",
    "a key must be a word": "键必须是一个词",
    "nested deeper than {most} levels": "嵌套超过 {most} 层",
    "a tab; YAML is indented with spaces": "含有制表符；YAML 用空格缩进",
    "a value cannot begin with {text}; put it in quotes": "值不能以 {text} 开头；请加引号",
    'a ": " where no key can be; put a text that holds ": " in quotes, or look at the indentation': (
        '此处不能有键，却出现了 ": "；含 ": " 的文本请加引号，或检查缩进'
    ),
    'a ":" is missing after a key here or just above': '此处或上一行的键后缺少 ":"',
    "the file ends inside a text in quotes that begins here": "此处开始的引号直到文件末尾都没有闭合",
    "this does not fit the lines above; look at the indentation": "与上面的行不一致；请检查缩进",
    "this does not fit the list above; look at the indentation": "与上面的列表不一致；请检查缩进",
    'the list that begins here with [ is not closed, or a "," is missing in it': '此处以 [ 开始的列表没有闭合，或其中缺少 ","',
    'the mapping that begins here with {{ is not closed, or a "," is missing in it': '此处以 {{ 开始的映射没有闭合，或其中缺少 ","',
    "a value is missing here": "此处缺少值",
    "YAML aliases are not read here": "不支持 YAML 别名",
    # keys and values
    "there is no user {name} on this machine": "本机没有用户 {name}",
    "root's units are the system's; take user: out": "root 的单元属于系统；请去掉 user:",
    "{text} is no name of a user; it takes letters, digits, _ . -": "{text} 不是合法用户名；只能用字母、数字和 _ . -",
    "says in whose manager the unit is, and there is none; state unit: beside it": "指明单元属于谁的管理器，但此处没有单元；请同时写 unit:",
    "says what the unit runs, and there is none; state unit: beside it": "指明单元运行什么，但此处没有单元；请同时写 unit:",
    "{text} is no name of a container; it takes letters, digits, _ . - and begins with a letter or a digit": "{text} 不是合法的容器名",
    "line {line}": "第 {line} 行",
    "no such key": "没有该键",
    "{path} cannot be read: {cause}; root and the group model-watchdog should be able to": (
        "无法读取 {path}：{cause}；root 和 model-watchdog 组应当可以读取"
    ),
    "is too much: the included files may have {most} characters together": "过大：所包含的文件合计不得超过 {most} 个字符",
    "there is no file {path}": "没有文件 {path}",
    "names {size} files; {most} are the most": "包含 {size} 个文件；最多 {most} 个",
    "{text}: * ? and [ stand in the last part of a path only, as in conf.d/*.yaml": (
        "{text}：* ? [ 只能出现在路径的最后一段，例如 conf.d/*.yaml"
    ),
    "stands in {name} only: an included file includes no other": "只能写在 {name} 中：被包含的文件不能再包含其他文件",
    "is there twice; the first one is in {path}": "重复出现；第一次在 {path}",
    "{time} is longer than the timeout {timeout}, so it is never reached; it must be at most timeout": (
        "{time} 比 timeout {timeout} 长，永远不会达到；不得超过 timeout"
    ),
    "belongs to the top of the file; write it there: maintenance: [{{services: [NAME], …}}]": (
        "属于文件顶层；请写 maintenance: [{{services: [NAME], …}}]"
    ),
    "belongs to a probe; write it there: probes: {{NAME: {{…}}}}": "属于探测；请写在 probes: {{NAME: {{…}}}} 中",
    "belongs to a rule; write it there: rules: {{NAME: {{…}}}}": "属于规则；请写在 rules: {{NAME: {{…}}}} 中",
    "belongs to recovery; write it there: recovery: {{…}}": "属于 recovery；请写在 recovery: {{…}} 中",
    "{metric} has no label {label}": "{metric} 没有标签 {label}",
    "the fill level of {mount} is not measured; add it to disks: of a probe of kind host": (
        "没有测量 {mount} 的用量；请加到 kind 为 host 的探测的 disks: 中"
    ),
    "is missing": "缺失",
    "is missing; it takes {what}": "缺失；应为{what}",
    "is empty": "为空",
    "is empty; it takes {what}": "为空；应为{what}",
    "is not known here": "不是可用的值",
    "is not spoken here": "不是支持的语言",
    "arrives later; this version does not have it": "尚未支持，本版本没有",
    "arrives later ({text}); this version does not have it": "尚未支持（{text}），本版本没有",
    "the kind {kind} arrives later; this version does not have it": "类型 {kind} 尚未支持，本版本没有",
    "there is no kind {kind}": "没有类型 {kind}",
    "expected {what}": "应为{what}",
    "expected {what}, not {found}": "应为{what}，而不是 {found}",
    "expected {what}, not a list": "应为{what}，而不是列表",
    "expected {what}, not keys with values": "应为{what}，而不是键值对",
    "a duration such as 500ms, 10s, 5m, 2h or 7d": "时长，例如 500ms、10s、5m、2h 或 7d",
    "a size such as 512MiB or 20GB": "大小，例如 512MiB 或 20GB",
    "a number such as 80, 0.5, 50ms, 20GB or 90%": "数值，例如 80、0.5、50ms、20GB 或 90%",
    "a whole number such as 3": "整数，例如 3",
    "a number such as 3 or 0.5": "数值，例如 3 或 0.5",
    "true or false": " true 或 false",
    "a text": "文本",
    "a text, file:/path or credential:NAME": "文本、file:/path 或 credential:NAME",
    "an address such as http://127.0.0.1:8000/health": "地址，例如 http://127.0.0.1:8000/health",
    "the path of a file, from the root": "文件的绝对路径",
    "one of {names}": "以下之一：{names}",
    "a list in [ ]": " [ ] 中的列表",
    "keys with values": "键值对",
    "a value": "一个值",
    "has no unit": "缺少单位",
    "is not a duration; write it like 500ms, 10s, 5m, 2h or 7d": "不是时长；应写作 500ms、10s、5m、2h 或 7d",
    "is too long; ten years are the most": "过长；最长十年",
    "is not a size; write it like 512MiB or 20GB": "不是大小；应写作 512MiB 或 20GB",
    "is not a number; write it like 80, 0.5, 50ms, 20GB or 90%": "不是数值；应写作 80、0.5、50ms、20GB 或 90%",
    "is not a whole number; write it like 3": "不是整数；应写作 3",
    "is not a number; write it like 3 or 0.5": "不是数值；应写作 3 或 0.5",
    "is not true or false; write one of them": "应为 true 或 false",
    "is {what} to YAML; if a text is meant, put it in quotes": "会被 YAML 读作{what}；若要文本请加引号",
    "is {what} to YAML; if a text is meant, put it in quotes: {text}": "会被 YAML 读作{what}；若要文本请加引号：{text}",
    "a number": "数值",
    "a number of base 60": "六十进制数",
    "a date": "日期",
    "is a text because of its quotes; take them away": "因引号而成为文本；请去掉引号",
    "is not a path from the root": "不是绝对路径",
    "holds a space or a backslash, which no address does": "含有空格或反斜杠，地址中不允许",
    "is not an address; write it like http://127.0.0.1:8000/health": "不是地址；应写作 http://127.0.0.1:8000/health",
    "does not begin with http:// or https://": "不以 http:// 或 https:// 开头",
    "names no host and port that can be asked; write it like http://127.0.0.1:8000/health": (
        "没有可访问的主机和端口；应写作 http://127.0.0.1:8000/health"
    ),
    "must be at least {least}": "不得小于 {least}",
    "must be longer than 0s": "必须大于 0s",
    "{name} must be longer than 0s": "{name} 必须大于 0s",
    "{name} must be longer than 0": "{name} 必须大于 0",
    "{name} must be greater than 0": "{name} 必须大于 0",
    "{name} must be at least {least}": "{name} 不得小于 {least}",
    "{name} must not be negative": "{name} 不得为负",
    "raw must lie between 10m and 31d": "raw 必须在 10m 到 31d 之间",
    "minutes must lie between 1h and 366d": "minutes 必须在 1h 到 366d 之间",
    "hours must lie between 1d and 3650d": "hours 必须在 1d 到 3650d 之间",
    "{text} is no name; it takes letters and digits, and after the first of them _ . -": (
        "{text} 不是合法名称；只能用字母和数字，首字符之后还可用 _ . -"
    ),
    # what is kept out of the file
    "the variable {name} is not set here": "此处未设置变量 {name}",
    "cannot be used: the variable {name} is not UTF-8": "无法使用：变量 {name} 不是 UTF-8",
    "does not name a file from the root; write file:/path/of/the/file": "不是绝对路径；应写作 file:/path/of/the/file",
    "does not name a credential; write credential:NAME": "没有凭据名；应写作 credential:NAME",
    "the credential {name} is not here: systemd gives credentials to the daemon only": "此处没有凭据 {name}：systemd 只把凭据交给守护进程",
    "the file {path} {why}": "文件 {path} {why}",
    "the credential {name} {why}": "凭据 {name} {why}",
    "holds a ${{ that begins no variable; write ${{NAME}}, ${{NAME:-default}}, or $${{ for the text itself": (
        "含有 ${{ 却不是变量；应写作 ${{NAME}}、${{NAME:-default}}，或用 $${{ 表示文本本身"
    ),
    # logs
    "there is no unit here whose journal could be read; state unit: beside probes:, or path: FILE": (
        "此处没有可读取 journal 的单元；请在 probes: 旁写明 unit:，或写 path: FILE"
    ),
    "is of a service: it is sent while that has nothing else to do; put this probe under one": (
        "属于服务：它在服务空闲时发送；请把此探测放到服务下"
    ),
    '"{pattern}" cannot be used: {cause}; patterns are RE2, without look-around and references back': (
        "“{pattern}”不可用：{cause}；模式采用 RE2，不支持环视和反向引用"
    ),
    "state path: FILE, or journal: true": "请写 path: FILE，或 journal: true",
    "path must begin with /, and {path} does not": "path 必须以 / 开头，而 {path} 不是",
    "pattern goes with format: text": "pattern 与 format: text 搭配使用",
    "timezone goes with path; the journal knows when an entry was written": "timezone 与 path 搭配使用；journal 自己知道每条的写入时间",
    "pattern has no group named {names}, as (?P<{name}>[0-9.]+) would be": "pattern 中没有名为 {names} 的分组，应如 (?P<{name}>[0-9.]+)",
    '"{name}" cannot be the name of a field': "“{name}”不能作为字段名",
    'there is no time zone "{name}" on this machine, as "Asia/Shanghai" would be one': "本机没有时区“{name}”，应如“Asia/Shanghai”",
    # model servers, progress, canaries
    "is the address of a page; take {path} away, for the profile of {server} knows its pages": (
        "是某个页面的地址；请去掉 {path}，{server} 的档案知道各页面的路径"
    ),
    '"{text}" is no metric; write its name, which takes letters, digits, _ and :, or {example}': (
        "“{text}”不是指标；请写指标名（字母、数字、_ 和 :）或 {example}"
    ),
    "{text} is no name of a label; it takes letters, digits and _": "{text} 不能作为标签名；可用字母、数字和 _",
    "{name} goes with api: {kind}": "{name} 与 api: {kind} 搭配使用",
    "{time} is shorter than startup {other}": "{time} 短于 startup {other}",
    "comes from a page of metrics; add a probe of kind scrape, such as metrics: {{kind: scrape, url: http://HOST:PORT/metrics}}": (
        "来自指标页；请加入 kind 为 scrape 的探测，例如 metrics: {{kind: scrape, url: http://HOST:PORT/metrics}}"
    ),
    "expect takes a text, or {{regex: …}}, {{json: {{path: value}}}}, {{embedding: FILE, distance: 0.02}}": (
        "expect 应为文本，或 {{regex: …}}、{{json: {{path: value}}}}、{{embedding: FILE, distance: 0.02}}"
    ),
    "expect takes one of regex, json and embedding; distance goes with embedding": (
        "expect 只能取 regex、json、embedding 之一；distance 与 embedding 搭配"
    ),
    "expect.distance takes a number between 0 and 2, such as 0.02": "expect.distance 应为 0 到 2 之间的数，例如 0.02",
    "expect.json takes paths with their values, such as {{label: cat}}": "expect.json 应为路径及其值，例如 {{label: cat}}",
    "expect.regex: {cause}": "expect.regex：{cause}",
    "expect: {{embedding: …}} goes with endpoint: embeddings, or api: http": (
        "expect: {{embedding: …}} 与 endpoint: embeddings 或 api: http 搭配使用"
    ),
    "an embedding is no text: with endpoint: embeddings expect takes {{embedding: FILE}}": (
        "向量不是文本：endpoint: embeddings 时 expect 应为 {{embedding: FILE}}"
    ),
    "keep names what the watchdog itself measures, and no page may give: {names}": "keep 中有由本程序自己测量的指标：{names}",
    "expect: {{json: …}} goes with api: http": "expect: {{json: …}} 与 api: http 搭配使用",
    "goes with then: alert, and not with then: {word}": "与 then: alert 搭配，不能与 then: {word} 搭配",
    "is missing; server: {server} needs the address that it serves, such as url: http://127.0.0.1:8000": (
        "缺失；server: {server} 需要其服务地址，例如 url: http://127.0.0.1:8000"
    ),
    "is of a service, and this is a rule of the host": "属于服务，而这是主机的规则",
    "is where the probes of a server: go, and there is none; give the probe its own url, or state server: beside it": (
        "是 server: 的探测所用的地址，而这里没有 server:；请给探测写上 url，或在旁边写明 server:"
    ),
    "max_tokens must lie between 1 and {count}: a canary is no load": "max_tokens 应在 1 到 {count} 之间：真实请求不应成为负担",
    "metrics must name at least one metric with its path, such as {{server_sleeping: is_sleeping}}": (
        "metrics 至少要写一个指标及其路径，例如 {{server_sleeping: is_sleeping}}"
    ),
    "needs heartbeat beside it: the counter of the steps that are done": "旁边需要 heartbeat：已完成步数的计数器",
    "needs work beside it: the gauges of what runs and waits, for a counter that stands still while nothing is asked is idle": (
        "旁边需要 work：正在运行和等待的请求数；没有请求时计数器不动只是空闲"
    ),
    "state body or file, not both": "body 与 file 只能写一个",
    'there is no profile of "{server}"': "没有“{server}”的档案",
    # services and probes
    "is missing; without a unit and without a probe there is nothing to watch": "缺失；既没有单元又没有探测，无从监控",
    "nothing could restart it; it needs a unit, or a recovery of kind command": "无法重启它；需要 unit，或 kind 为 command 的 recovery",
    "systemctl needs a unit; state unit: beside recovery:": "systemctl 需要单元；请在 recovery: 旁写明 unit:",
    "is the watchdog's own unit, which it cannot restart; systemd does that": "是本程序自己的单元，无法自行重启；由 systemd 负责",
    "is the unit of {service} already ({place})": "已是 {service} 的单元（{place}）",
    "is no name of a unit; it takes letters, digits, : _ . \\ @ - and does not begin with - or .": (
        "不是合法的单元名；只能用字母、数字和 : _ . \\ @ -，且不能以 - 或 . 开头"
    ),
    "is not a service; only units that end in .service are watched": "不是服务；只监控以 .service 结尾的单元",
    "is a template; name an instance, such as name@1.service": "是模板；请写实例名，例如 name@1.service",
    "{why}; {name} does that already": "{why}；{name} 已经做了",
    "a unit is asked once": "单元只需探测一次",
    "the host is measured once": "主机只需测量一次",
    "the GPUs of the host are measured once": "主机的 GPU 只需测量一次",
    "this name belongs to the probe of kind unit; choose another": "此名称属于 kind 为 unit 的探测；请换一个",
    "there is no unit here to ask about; put this probe under a service that has one": "此处没有单元可探测；请把该探测放到有单元的服务下",
    "there is no unit here to ask about; state unit: beside probes:": "此处没有单元可探测；请在 probes: 旁写明 unit:",
    "the GPUs of the host are no part of a service; put this probe under host:": "主机的 GPU 不属于某个服务；请把该探测放到 host: 下",
    "the host is no part of a service; put this probe under host:": "主机不属于某个服务；请把该探测放到 host: 下",
    "{metric} is given by the probe {probe} already; choose another name": "{metric} 已由探测 {probe} 给出；请换一个名称",
    "{metric} is given by the watchdog itself already; choose another name": "{metric} 已由本程序自身给出；请换一个名称",
    "{retry} is slower than every {every}; after a failure it must not run less often": "{retry} 慢于 every {every}；失败后不得探测得更少",
    "{timeout} is longer than every {every} ({place}); timeout must be at most every": (
        "{timeout} 比 every {every}（{place}）长；timeout 不得超过 every"
    ),
    "{timeout} is longer than every {every}, which is the default; timeout must be at most every": (
        "{timeout} 比 every 的默认值 {every} 长；timeout 不得超过 every"
    ),
    "{timeout} is longer than every {every} of {path}; timeout must be at most every": (
        "{timeout} 比 {path} 的 every {every} 长；timeout 不得超过 every"
    ),
    "{every} is shorter than the timeout {timeout} of defaults ({place}); timeout must be at most every": (
        "{every} 比 defaults 的 timeout {timeout}（{place}）短；timeout 不得超过 every"
    ),
    # kinds of probes and recoveries
    '"{text}" is not a status; write a code such as 200, a class such as 2xx, or a list of them': (
        '"{text}" 不是状态码；应写作 200、2xx，或由它们组成的列表'
    ),
    "status must name at least one code, such as 200 or 2xx": "status 至少要有一个状态码，例如 200 或 2xx",
    "url must begin with http:// or https://": "url 必须以 http:// 或 https:// 开头",
    "url has no host; write http://HOST:PORT/PATH": "url 没有主机；应写作 http://HOST:PORT/PATH",
    "url is not a URL; write http://HOST:PORT/PATH": "url 不是 URL；应写作 http://HOST:PORT/PATH",
    "url has port 0": "url 的端口为 0",
    "method must be a word in capitals, such as GET or POST": "method 必须是大写单词，例如 GET 或 POST",
    '"{name}" cannot be the name of a header': '"{name}" 不能作为请求头名称',
    "the header {name} is the probe's own; leave it out": "请求头 {name} 由探测自行设置；请去掉",
    "the value of the header {name} holds a line break or another control character": "请求头 {name} 的值含有换行或其他控制字符",
    "bearer holds a line break or another control character": "bearer 含有换行或其他控制字符",
    "state only one of bearer, the header Authorization, and a user in the URL": "bearer、请求头 Authorization 和 URL 中的用户只能写一个",
    "json must name at least one path, such as {{status: ok}}": "json 至少要有一个路径，例如 {{status: ok}}",
    "an answer to HEAD has no body: take away contains and json, or use GET": "HEAD 的应答没有响应体：请去掉 contains 和 json，或改用 GET",
    "ca_file is for https://": "ca_file 只用于 https://",
    "ca_file {path}: it cannot be read: {cause}": "ca_file {path}：无法读取：{cause}",
    "ca_file {path}: it holds no certificate in PEM form": "ca_file {path}：其中没有 PEM 格式的证书",
    '"{text}" is not HOST:PORT; write it like 127.0.0.1:8001, localhost:6379 or "[::1]:8001"': (
        '"{text}" 不是 HOST:PORT；应写作 127.0.0.1:8001、localhost:6379 或 "[::1]:8001"'
    ),
    "command needs a program: command: {text}": "command 需要一个程序：command: {text}",
    "command holds a NUL, which no program can be given": "command 含有 NUL，无法传给程序",
    '"{name}" cannot be the name of a metric; it takes letters, digits, _ and :, and does not begin with a digit': (
        '"{name}" 不能作为指标名；只能用字母、数字、_ 和 :，且不能以数字开头'
    ),
    '"{path}" is not a path from the root': '"{path}" 不是绝对路径',
    "failures and restarts must be at least 1": "failures 和 restarts 不得小于 1",
    "backoff.max must not be less than backoff.first": "backoff.max 不得小于 backoff.first",
    # rules
    "is missing; it takes the name of a metric, such as probe_success": "缺失；应为指标名，例如 probe_success",
    '"{text}" is not a metric; write name or name{{label="value"}}': '"{text}" 不是指标；应写作 name 或 name{{label="value"}}',
    '"{text}" is not a label matcher; write label="value"': '"{text}" 不是标签条件；应写作 label="value"',
    '"{text}" is not a regular expression: {cause}': '"{text}" 不是正则表达式：{cause}',
    '"{text}" stands for nothing; write {{value}}, {{service}} or a label, and {{{{ for a brace itself': (
        '"{text}" 没有含义；可写 {{value}}、{{service}} 或标签，花括号本身写作 {{{{'
    ),
    "{{{name}}} stands for nothing here": "{{{name}}} 在此没有含义",
    "no probe gives {metric}": "没有探测给出 {metric}",
    "no probe of {place} gives {metric}": "{place} 的探测都不给出 {metric}",
    "no probe of {place} gives {metric}; a probe of kind {kind} would": "{place} 的探测都不给出 {metric}；kind 为 {kind} 的探测才有",
    "no probe of {place} has the name {name}": "{place} 没有名为 {name} 的探测",
    "{metric} is given by probes of kind {kind}, which arrive later": "{metric} 由 kind 为 {kind} 的探测给出，尚未支持",
    "rules on {metric} arrive later": "尚未支持针对 {metric} 的规则",
    "{metric} has no label probe; take {text} out": "{metric} 没有标签 probe；请去掉 {text}",
    "a rule of {place} sees only series of {place}; take {text} out": "{place} 的规则只能看到 {place} 的序列；请去掉 {text}",
    "{text} is no rule; write its metric and level, or off to take a built-in rule away": (
        "{text} 不是规则；请写明指标和阈值，或用 off 关闭内置规则"
    ),
    "off takes away a built-in rule, and this is none": "off 用于关闭内置规则，而这不是",
    "off takes away a built-in rule, and this is none; built in here: {names}": "off 用于关闭内置规则，而这不是；此处的内置规则：{names}",
    "restart of what? A rule of the host may alert or inhibit": "重启什么？主机的规则只能 alert 或 inhibit",
    "{why}. A rule {form} may alert or inhibit": "{why}；{form} 规则只能 alert 或 inhibit",
    "silence proves nothing: it may be the watchdog that does not see": "没有数据不能证明什么，也可能是本程序看不到",
    "that it is unlike its own past does not prove that it is broken": "与自身历史不同，不能证明已经出了故障",
    "then: restart must state for or times, such as times: 3, so that no single bad sample restarts it by accident": (
        "then: restart 必须写明 for 或 times，例如 times: 3，以免一个异常样本就引起重启"
    ),
    "states for and times; state one of them": "同时写了 for 和 times；只能写一个",
    "does not go with {form}: {what}": "不能与 {form} 同用：{what}",
    "absent states the time itself": "absent 自己写明时间",
    "absent looks at no value": "absent 不看数值",
    "does not go with over, which judges one metric": "不能与 over 同用，over 只判断一个指标",
    "does not go with then: restart: a service that is well again must not count as broken": (
        "不能与 then: restart 同用：已恢复的服务不能仍算作故障"
    ),
    "belongs to a rule of the form {one}, and this one is of the form {other}": "属于 {one} 形式的规则，而这条是 {other} 形式",
    "belongs to {form} without window, the adaptive form, and this one states window": (
        "属于不带 window 的 {form}（自适应形式），而这条写了 window"
    ),
    "needs {key} beside it, such as {text}": "需要同时写 {key}，例如 {text}",
    "{as_} is for counters, whose names end in _total; {metric} can fall as well as rise": (
        "{as_} 用于名称以 _total 结尾的计数器；{metric} 可升可降"
    ),
    "{metric} only ever grows: state rate or increase": "{metric} 只增不减：请写 rate 或 increase",
    "{metric} only ever grows: state rate or increase, such as over: 5m, as: rate": (
        "{metric} 只增不减：请写 rate 或 increase，例如 over: 5m, as: rate"
    ),
    "{over} is shorter than two samples of the probe {probe}, which runs every {every}": (
        "{over} 比探测 {probe} 的两个样本间隔短，它每 {every} 运行一次"
    ),
    "{absent} is not longer than the time between two samples of the probe {probe}, which runs every {every}": (
        "{absent} 不长于探测 {probe} 的样本间隔，它每 {every} 运行一次"
    ),
    "{for_} is shorter than the time between two samples of the probe {probe}, which runs every {every}; state times: 2": (
        "{for_} 短于探测 {probe}（每 {every} 一次）两次采样的间隔；请写 times: 2"
    ),
    "{for_} is shorter than the time between two samples of the probe {probe}, which runs every {every} (after a failure every {retry}); "
    "state times: 2": "{for_} 短于探测 {probe}（每 {every} 一次，失败后每 {retry} 一次）两次采样的间隔；请写 times: 2",
    "{over} holds more than {most} samples of the probe {probe}; {longest} is the most": (
        "{over} 内探测 {probe} 的样本超过 {most} 个；最长 {longest}"
    ),
    'takes exact labels only, such as {{kind="slowdown"}}': '只能写确定的标签，例如 {{kind="slowdown"}}',
    "the host": "主机",
    "{one} is not measured together with {other}": "{one} 与 {other} 不是一起测得的",
    "state one of above, below, equals and outside": "above、below、equals、outside 须写一个",
    "outside takes two levels, the lower one first, such as [10, 90]": "outside 需要两个阈值，低的在前，例如 [10, 90]",
    "clear must not lie above {level}, or the alert would end while it is in breach": "clear 不得高于 {level}，否则越界时告警就会结束",
    "clear must not lie below {level}, or the alert would end while it is in breach": "clear 不得低于 {level}，否则越界时告警就会结束",
    "clear goes with above or below": "clear 只与 above 或 below 同用",
    "window must be between 2 and 100000 samples": "window 必须在 2 到 100000 个样本之间",
    "{name} must be between {least} and {most} samples": "{name} 必须在 {least} 到 {most} 个样本之间",
    "{name} must be between {least} and {most}": "{name} 必须在 {least} 到 {most} 之间",
    "min_absolute and min_relative must not be negative": "min_absolute 和 min_relative 不得为负",
    "clip and near must not be negative": "clip 和 near 不得为负",
    "backoff must be at least 1, which keeps the cooldown as it is": "backoff 不得小于 1（1 表示冷却时间不变）",
    # notifiers
    "apprise did not say within {seconds} s whether it understands this address": "apprise 在 {seconds} 秒内未能判断该地址是否有效",
    "no apprise notifier understands this address ({scheme}://); see the list of addresses in apprise's documentation": (
        "apprise 不认识该地址（{scheme}://）；可用的地址见 apprise 文档"
    ),
    "this is a webhook as its provider shows it; write {what}": "这是原样粘贴的 webhook；应写作 {what}",
    "this is no address of apprise's: it begins with a scheme, as mailto://user:password@host does": (
        "不是 apprise 的地址：地址以 scheme 开头，例如 mailto://user:password@host"
    ),
    "apprise knows {scheme}://, but this address is not complete or not right: {said}": "apprise 支持 {scheme}://，但该地址不完整或有误：{said}",
    "apprise knows {scheme}://, but this address is not complete or not right: write {what} ({said})": (
        "apprise 支持 {scheme}://，但该地址不完整或有误：应写作 {what}（{said}）"
    ),
    "this address names no topic; write {what}": "地址中没有主题（topic）；应写作 {what}",
    "dingtalk://TOKEN, or dingtalk://SECRET@TOKEN for a robot that signs; TOKEN follows access_token= in its webhook": (
        "dingtalk://TOKEN；加签的机器人写 dingtalk://SECRET@TOKEN；TOKEN 是其 webhook 中 access_token= 之后的部分"
    ),
    "feishu://TOKEN; TOKEN is the last part of the bot's webhook": "feishu://TOKEN；TOKEN 是机器人 webhook 的最后一段",
    "wecombot://KEY; KEY follows key= in the bot's webhook": "wecombot://KEY；KEY 是机器人 webhook 中 key= 之后的部分",
    "slack://A/B/C, the three parts behind /services/ in the webhook, or that whole webhook": (
        "slack://A/B/C，即 webhook 中 /services/ 之后的三段，或直接写整个 webhook"
    ),
    "mailto://USER:PASSWORD@SERVER?from=ADDRESS&to=ADDRESS, with %40 for an @ in USER or PASSWORD": (
        "mailto://USER:PASSWORD@SERVER?from=ADDRESS&to=ADDRESS，USER 或 PASSWORD 中的 @ 写作 %40"
    ),
    "ntfys://SERVER/TOPIC, or ntfy://TOPIC for ntfy.sh": "ntfys://SERVER/TOPIC；ntfy.sh 可写 ntfy://TOPIC",
}
