"""Faults of expressions, rule files and templates, in Chinese: English template to Chinese template, as in `zh_faults`."""

PROMQL = {
    # an expression
    "this is no PromQL expression: {said}": "这不是 PromQL 表达式：{said}",
    "there is no function {name}()": "没有函数 {name}()",
    "there is no function {name}(); see Prometheus' list of them": "没有函数 {name}()；请查阅 Prometheus 的函数列表",
    "the parser read a {name}, which nothing is known of; write it differently": "解析得到未知的 {name}；请换一种写法",
    "the parser cannot read this expression; write it differently": "解析器无法读取该表达式；请换一种写法",
    "the expression is longer than {count} letters; split it with record: rules": "表达式超过 {count} 个字符；请用 record: 规则拆分",
    "the expression has more than {count} brackets in each other, or {limit} operators; split it with record: rules": (
        "表达式的括号嵌套超过 {count} 层，或运算符超过 {limit} 个；请用 record: 规则拆分"
    ),
    "{text} is no duration; write it as 5m or 1h30m": "{text} 不是时长；请写成 5m 或 1h30m",
    "a duration is longer than 200 years; write a shorter one": "时长超过 200 年；请写短一些",
    "the string {text} goes over a line's end; write \\n, or put it between backquotes": "字符串 {text} 跨行；请写 \\n，或用反引号括起来",
    "the string {text} is not UTF-8 once its escapes are read; write the letter itself": (
        "字符串 {text} 在转义后不是 UTF-8；请直接写该字符"
    ),
    "the string {text} has an escape that is none: {said}; a backslash is written \\\\": (
        "字符串 {text} 中有无效的转义：{said}；反斜杠要写成 \\\\"
    ),
    "a range vector has no value of its own; put it into a function, such as rate or avg_over_time": (
        "区间向量本身没有值；请放进函数中，如 rate 或 avg_over_time"
    ),
    # what is not supported
    "{what}: not supported here; {why}": "{what}：不支持；{why}",
    "a subquery, [range:step]": "子查询 [range:step]",
    "the modifier @": "修饰符 @",
    "the modifier {name} is experimental in Prometheus": "修饰符 {name} 在 Prometheus 中仍属实验性质",
    "fill() between two vectors is experimental in Prometheus": "两个向量之间的 fill() 在 Prometheus 中仍属实验性质",
    "a calculated duration is experimental in Prometheus": "计算得出的时长在 Prometheus 中仍属实验性质",
    "{name}() is experimental in Prometheus": "{name}() 在 Prometheus 中仍属实验性质",
    "{name}() is of native histograms": "{name}() 属于原生直方图",
    "</ and >/ are of native histograms": "</ 和 >/ 属于原生直方图",
    "`or` between matchers is no PromQL": "匹配条件之间的 `or` 不是 PromQL",
    "write the rule without it": "请改写规则，不要使用它",
    "record the inner expression with a rule of its own (record:), and look back on that": (
        "请用单独的规则（record:）记录内层表达式，再对其回看"
    ),
    "use a classic histogram: its _bucket, _sum and _count series": "请用经典直方图：其 _bucket、_sum 和 _count 序列",
    "an alert looks at now; use offset": "告警看的是当前；请用 offset",
    "an alert has no order": "告警没有顺序",
    "use avg_over_time, or a rule with sigma": "请用 avg_over_time，或带 sigma 的规则",
    "use last_over_time with an offset": "请用 last_over_time 加 offset",
    "use histogram_quantile once for each": "请逐个使用 histogram_quantile",
    "join with * on (…) group_left (…)": "请用 * on (…) group_left (…) 连接",
    "use max over a vector, or clamp_min": "请对向量用 max，或用 clamp_min",
    "use min over a vector, or clamp_max": "请对向量用 min，或用 clamp_max",
    "use stddev_over_time, or rolling_sigma": "请用 stddev_over_time 或 rolling_sigma",
    "use topk": "请用 topk",
    "use timestamp": "请用 timestamp",
    "use max_over_time": "请用 max_over_time",
    "use min_over_time": "请用 min_over_time",
    "use or": "请用 or",
    "use rate or increase as they are": "请直接使用 rate 或 increase",
    "write it as a number: 5m": "请写成数值：5m",
    'write two selectors with or, or a pattern: label=~"a|b"': '请用 or 写两个选择器，或用模式：label=~"a|b"',
    # an evaluation
    "vector cannot contain metrics with the same labelset": "结果中有标签完全相同的序列（same labelset）",
    "vector contains metrics with the same labelset after applying alert labels": "加上告警标签后，有标签完全相同的序列（same labelset）",
    "found duplicate series for the match group {name} on the {said} hand-side of the operation: [{names}];"
    "many-to-many matching not allowed: matching labels must be unique on one side": (
        "运算的 {said} 侧，匹配组 {name} 中有重复的序列：[{names}]（many-to-many matching）"
    ),
    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)": (
        "标签有多个匹配：多对一匹配必须写明 group_left 或 group_right"
    ),
    "multiple matches for labels: grouping labels must ensure unique matches": "标签有多个匹配：分组标签必须保证唯一匹配",
    "Parameter value is NaN": "参数值为 NaN",
    "Scalar value {value} overflows int64": "数值 {value} 超出 int64",
    'invalid label name ""': "标签名为空",
    "invalid regular expression in label_replace(): {why}": "label_replace() 中的正则表达式无效：{why}",
    'invalid destination label name in {name}(): ""': "{name}() 的目标标签名为空",
    "exceeded limit of {limit} with {count} alerts": "告警有 {count} 个，超过上限 {limit}",
    "exceeded limit of {limit} with {count} series": "序列有 {count} 个，超过上限 {limit}",
    # a rule file
    "a rule file is a mapping with the key groups": "规则文件应是带有键 groups 的映射",
    '"{name}" is not known here': '"{name}" 在此处未知',
    '"{name}" is not known here; there is {names}': '"{name}" 在此处未知；可用的有 {names}',
    "a group is a mapping with a name and rules": "组应是带有 name 和 rules 的映射",
    "a group needs a name; write name: NAME": "组需要名称；请写 name: NAME",
    'the group name "{name}" is there twice in this file; give each its own': '组名 "{name}" 在本文件中出现两次；请各取其名',
    "a rule is a mapping with alert or record, and expr": "规则应是带有 alert 或 record 以及 expr 的映射",
    "a rule states one of alert and record, not both": "规则只能写 alert 和 record 之一",
    "a rule states alert or record; write alert: NAME": "规则要写 alert 或 record；请写 alert: NAME",
    "a rule needs an expression; write expr: EXPRESSION": "规则需要表达式；请写 expr: EXPRESSION",
    "the expression gives a {kind}; a rule needs a vector or a number": "表达式的结果是 {kind}；规则需要向量或数值",
    '"{name}" is no name of a metric; write letters, digits, _ and :': '"{name}" 不是指标名；请用字母、数字、_ 和 :',
    '"{name}" is no name of a label; write letters, digits and _': '"{name}" 不是标签名；请用字母、数字和 _',
    "{name} are a mapping of names to texts": "{name} 应是名称到文本的映射",
    "{name} is a text": "{name} 应是文本",
    "{name} is a list": "{name} 应是列表",
    "limit is a whole number": "limit 应是整数",
    '"{text}" is no duration; write it as 30s, 5m or 1h30m': '"{text}" 不是时长；请写成 30s、5m 或 1h30m',
    # a template
    "this is no template: {text}": "这不是模板：{text}",
    "a {{{{ is not closed: {text}; write }}}}": "{{{{ 没有闭合：{text}；请写 }}}}",
    "an {{{{ if }}}} is not closed; write {{{{ end }}}}": "{{{{ if }}}} 没有闭合；请写 {{{{ end }}}}",
    "{{{{ {text} }}}} stands without an if": "{{{{ {text} }}}} 前面没有 if",
    "{{{{ {text} }}}} cannot stand here; write {{{{ end }}}}": "{{{{ {text} }}}} 不能放在这里；请写 {{{{ end }}}}",
    "{{{{ {text} }}}} in a template": "模板中的 {{{{ {text} }}}}",
    "{name} in a template": "模板中的 {name}",
    "a variable of its own in a template": "模板中自定义的变量",
    "more than {count} conditions stand in each other; write it simpler": "条件嵌套超过 {count} 层；请写得简单些",
    "behind a | there must be a function: {text}": "| 后面必须是函数：{text}",
    "there is no variable {name} in a template; there are {names}": "模板中没有变量 {name}；可用的有 {names}",
    "there is no field {name} in a template; there are {names}": "模板中没有字段 {name}；可用的有 {names}",
    "there is no function {name} in templates; see Prometheus' template reference": ("模板中没有函数 {name}；请查阅 Prometheus 的模板文档"),
    "write what it gives, or use $labels and $value": "请直接写出其结果，或用 $labels 和 $value",
    "write the value where it is needed": "请在需要之处直接写该值",
    "it asks Prometheus; write the value with $value, or another rule": "它要查询 Prometheus；请用 $value，或另写一条规则",
    "no page of graphs is here; write a link": "这里没有图表页；请写链接",
    "it is for console pages": "它用于控制台页面",
    "use $externalURL": "请用 $externalURL",
    "write the text without it": "请改写文本，不要使用它",
    # what is looked at
    'nothing here measures "{name}", so that this would never fire; did you mean "{near}"?': (
        "此处没有任何探测提供“{name}”，因此永远不会触发；是否想写“{near}”？"
    ),
    'nothing here measures "{name}", so that this would never fire; a probe of kind scrape with keep would give it': (
        "此处没有任何探测提供“{name}”，因此永远不会触发；可由 scrape 探测的 keep 提供"
    ),
}
