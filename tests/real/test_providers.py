"""The providers that people use, through the real client: what they are sent, and that a refusal with status 200 is one."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from model_watchdog.core.rule import Severity
from model_watchdog.core.units import Secret
from model_watchdog.errors import CredentialsRefused, NotifyError
from model_watchdog.notifiers import Message
from model_watchdog.notifiers.apprise import Apprise, check_url
from tests.rig.provider import Provider

MESSAGE = Message("key", Severity.CRITICAL, "[严重] box：whisper 宕机", "现象  进程自行退出\n建议  journalctl -u whisper")
PROVIDERS = {
    "dingtalk": ("dingtalk://t0ken123", "oapi.dingtalk.com", b'{"errcode":0,"errmsg":"ok"}'),
    "dingtalk, signed": ("dingtalk://SECs3cret@t0ken123", "oapi.dingtalk.com", b'{"errcode":0,"errmsg":"ok"}'),
    "feishu": ("feishu://t0ken-123", "open.feishu.cn", b'{"code":0,"data":{},"msg":"success"}'),
    "wecom": ("wecombot://t0ken-123", "qyapi.weixin.qq.com", b'{"errcode":0,"errmsg":"ok"}'),
    "wecom, its webhook": ("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=t0ken-123", "qyapi.weixin.qq.com", b'{"errcode":0}'),
    "slack": ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ", "hooks.slack.com", b"ok"),
    "telegram": ("tgram://123456789:abcdefg_hijklmnop/12315544", "api.telegram.org", b'{"ok":true,"result":{}}'),
    "ntfy": ("ntfy://a-topic", "ntfy.sh", b'{"id":"x"}'),
}
REFUSALS = {
    "dingtalk, no such robot": ("dingtalk://t0ken123", {"errcode": 300001, "errmsg": "token is not exist"}, True),
    "dingtalk, its keyword": ("dingtalk://t0ken123", {"errcode": 310000, "errmsg": "keywords not in content"}, True),
    "dingtalk, too often": ("dingtalk://t0ken123", {"errcode": 660026, "errmsg": "send too fast"}, False),
    "wecom, no such bot": ("wecombot://t0ken-123", {"errcode": 93000, "errmsg": "invalid webhook url"}, True),
    "wecom, too often": ("wecombot://t0ken-123", {"errcode": 45009, "errmsg": "api freq out of limit"}, False),
    "feishu, its keyword": ("feishu://t0ken-123", {"code": 19024, "msg": "Key Words Not Found"}, True),
    "feishu, too often": ("feishu://t0ken-123", {"code": 11232, "msg": "frequency limited"}, False),
}


@pytest.fixture
def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    """Every provider, on this machine."""
    made = Provider(tmp_path)
    for name, value in made.environment.items():
        monkeypatch.setenv(name, value)
    yield made
    made.close()


def send(url: str, message: Message = MESSAGE) -> None:
    asyncio.run(Apprise(Secret(url)).send(message))


@pytest.mark.parametrize(("url", "host", "answer"), PROVIDERS.values(), ids=PROVIDERS)
def test_the_message_arrives_in_chinese(provider: Provider, url: str, host: str, answer: bytes) -> None:
    provider.answer = answer
    send(url)
    (asked,) = provider.asked
    assert asked.host == host
    text = json.dumps(json.loads(asked.body), ensure_ascii=False)
    assert "whisper 宕机" in text
    assert "进程自行退出" in text


@pytest.mark.parametrize(("url", "answer", "is_lasting"), REFUSALS.values(), ids=REFUSALS)
def test_a_refusal_with_status_200_is_not_told(provider: Provider, url: str, answer: dict[str, object], is_lasting: bool) -> None:
    """A wrong token and a keyword that is missing are for a person to mend; too often is over by itself."""
    provider.answer = json.dumps(answer).encode()
    with pytest.raises(NotifyError) as refused:
        send(url)
    said = str(refused.value)
    assert str(next(iter(answer.values()))) in said and str(list(answer.values())[1]) in said
    assert "t0ken" not in said and "Connection" not in said
    assert isinstance(refused.value, CredentialsRefused) == is_lasting


def test_what_is_too_long_for_wecom_is_cut(provider: Provider) -> None:
    """2048 bytes, in which a Chinese character takes three; a refusal would come again and again, for a day."""
    provider.answer = b'{"errcode":0}'
    send("wecombot://t0ken-123", Message("key", Severity.INFO, "标题", "超长" * 2000))
    content = json.loads(provider.asked[0].body)["text"]["content"]
    assert 1900 < len(content.encode()) <= 2048
    assert content.startswith("标题") and content.endswith("…")


@pytest.mark.parametrize(
    ("url", "form"),
    [
        ("dingtalk://", "write dingtalk://TOKEN"),
        ("https://oapi.dingtalk.com/robot/send?access_token=t0ken123", "write dingtalk://TOKEN"),
        ("feishu://", "write feishu://TOKEN"),
        ("https://open.feishu.cn/open-apis/bot/v2/hook/t0ken-123", "write feishu://TOKEN"),
        ("wecombot://", "write wecombot://KEY"),
        ("https://qyapi.weixin.qq.com/cgi-bin/webhook/send?kee=t0ken", "write wecombot://KEY"),
        ("slack://t0ken", "write slack://A/B/C"),
        ("https://hooks.slack.com/services/t0ken", "write slack://A/B/C"),
        ("tgram://t0ken", "write tgram://BOT_TOKEN/CHAT_ID"),
        ("https://api.telegram.org/bott0ken/sendMessage", "write tgram://BOT_TOKEN/CHAT_ID"),
        ("mailtos://t0ken", "write mailto://USER:PASSWORD@SERVER"),
        ("ntfy://", "write ntfys://SERVER/TOPIC"),
    ],
)
def test_a_wrong_address_is_told_with_the_right_form(url: str, form: str) -> None:
    fault = check_url(url)
    assert fault is not None
    assert form in fault and "t0ken" not in fault
