"""Chinese of what is said of rules: of what they learn, of those that can never fire, and of what they would have done."""

FAULTS = {
    "{time} is longer than the record keeps samples: record: {kept}": "{time} 长于记录保留样本的时间：record: {kept}",
    "is never above {limit}, so that the rule never fires; the most is {count}": "不会高于 {limit}，因此规则永不触发；最大值为 {count}",
    "is never below {limit}, so that the rule never fires; the least is {count}": "不会低于 {limit}，因此规则永不触发；最小值为 {count}",
    "is never {limit}, so that the rule never fires": "不会等于 {limit}，因此规则永不触发",
    "is never outside of these, so that the rule never fires": "不会超出此范围，因此规则永不触发",
    "step must be at most 1h; 0s takes each sample as it comes": "step 不得超过 1h；0s 表示逐个样本判断",
}

PHRASES = {
    # watchdog replay
    "RULE": "规则",
    "FIRED": "触发时间",
    "FOR": "持续",
    "RESTARTS": "重启",
    "MESSAGES": "消息",
    "nothing would have fired": "不会触发任何告警",
    "only with {path}:": "仅在 {path} 下：",
    "with {path}: {summary}": "在 {path} 下：{summary}",
    "{count} samples of {series} series over {duration}; alerts: {firings}, restarts: {restarts}, messages: {messages}": (
        "{count} 个样本，{series} 个序列，历时 {duration}：告警 {firings} 次，重启 {restarts} 次，消息 {messages} 条"
    ),
    "{percent} %, {count} samples": "{percent} %，{count} 个样本",
    "{path}: the expression of {rule} had no answer at some time: {detail}": "{path}：{rule} 的表达式有时没有结果：{detail}",
    "{path}: no data for {count} of the rules: {names}": "{path}：{count} 条规则没有数据：{names}",
    "{path}: services in the data that it does not have: {names}": "{path}：数据中有而其中没有的服务：{names}",
    "--metric names the series of --csv FILE": "--metric 用于为 --csv FILE 的数值指明序列",
    "--csv needs --metric NAME beside it: the series that its numbers are of": "--csv 须与 --metric NAME 同用：其数值所属的序列",
    "the record has nothing of a service {name}": "记录中没有服务 {name} 的数据",
    "{path}:1: the header must name the columns timestamp and value": "{path}:1：表头须有 timestamp 与 value 两列",
    "{path}:{line}: it {fault}; mend the line, or take it out": "{path}:{line}：该行{fault}；请修正或删去该行",
    "{path}: it is not a regular file; save the data to one first": "{path}：不是普通文件；请先把数据存为文件",
    "has fewer columns than the header": "列数少于表头",
    "holds {word}, which is no number and no time": "中的 {word} 既非数值也非时间",
    "it lacks {name}": "缺少 {name}",
    "{path}: its last line has no time; mend it, or take it out": "{path}：最后一行没有时间；请修正或删去该行",
    "{path}: it is larger than 512 MiB; ask for fewer series, or a shorter time": "{path}：大于 512 MiB；请少查一些序列，或缩短时间范围",
    "{path}: this is no answer of query_range ({error}); it holds data.result, a list of metric and values": (
        "{path}：这不是 query_range 的应答（{error}）；应答中应有 data.result，即由 metric 与 values 组成的列表"
    ),
    "{path}: there is no file in it; save pages there: curl -s URL/metrics > $(date +%s).txt": (
        "{path}：其中没有文件；请先保存页面：curl -s URL/metrics > $(date +%s).txt"
    ),
    "{path}: it is larger than 16 MiB; no page of metrics is": "{path}：大于 16 MiB；指标页面不会这样大",
    "{path}: this is no page of metrics in Prometheus' format; take it out of the directory": (
        "{path}：这不是 Prometheus 格式的指标页面；请将其移出该目录"
    ),
}
