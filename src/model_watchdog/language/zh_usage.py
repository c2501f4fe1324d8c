"""What is wrong with a command line, in Chinese, as in `zh_details`; faults of a configuration may be told there, too."""

USAGE = {
    # of a command line, in argparse's words and in ours
    "argument {name}: {why}": "参数 {name}：{why}",
    "expected one argument": "后面须有一个值",
    "invalid choice: {word} (choose from {names})": "没有 {word}（可选：{names}）",
    "not allowed with argument {other}": "不能与 {other} 同用",
    "ignored explicit argument {word}": "不带值，却写了 {word}",
    "invalid int value: {word}": "{word} 不是整数",
    "invalid float value: {word}": "{word} 不是数值",
    "the following arguments are required: {names}": "缺少参数：{names}",
    "one of the arguments {names} is required": "须写以下参数之一：{names}",
    "it is empty; say why in a few words": "为空；请用几个字说明原因",
    "the path is empty": "路径为空",
}
