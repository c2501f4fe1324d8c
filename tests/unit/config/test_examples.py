"""What people copy is valid: the notifiers in the example, and in the READMEs each YAML block, each command and each link."""

import re
from pathlib import Path

import pytest

from model_watchdog.cli.main import COMMANDS, GLOBAL_OPTIONS, build_parser, load_command
from model_watchdog.config.loading import load

ROOT = Path(__file__).resolve().parents[3]
READMES = ("README.md", "README.zh-CN.md")
PROVIDERS = ("dingtalk", "signed", "feishu", "wecom", "slack", "telegram", "mail", "ntfy")


def examples() -> dict[str, str]:
    """The notifiers that are commented out in the example: their YAML by name."""
    text = (ROOT / "config.example.yaml").read_text()
    lines = [
        line.removeprefix("  # ")
        for line in text.splitlines()
        if re.match(r"  # (?:\w+: *(?:\{kind|#)|  (?:kind|url|min_severity):)", line)
    ]
    return dict(re.findall(r"^(\w+): *(?:#.*\n)?((?:\{.*|  .*\n?)+)", "\n".join(lines), re.MULTILINE))


def load_yaml(text: str, directory: Path, *, ask: bool = False) -> None:
    path = directory / "config.yaml"
    path.write_text(text)
    path.chmod(0o644)
    (directory / "ops-url").write_text("dingtalk://TOKEN\n")
    load(path, environment={}, credentials_dir=directory, strict_secrets=True, ask_notifiers=ask)


def test_every_provider_has_its_example() -> None:
    assert tuple(examples()) == PROVIDERS


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_example_of_a_provider_is_understood(name: str, tmp_path: Path) -> None:
    """apprise itself is asked."""
    value = examples()[name].rstrip()
    value = value if value.startswith("{") else "\n" + "\n".join(f"  {line}" for line in value.splitlines())
    load_yaml(f"services: {{a: {{unit: a.service}}}}\nnotifiers:\n  {name}: {value}\n", tmp_path, ask=True)


@pytest.mark.parametrize("example", ["fastapi_service", "script_service"])
def test_the_yaml_of_an_example_service_is_valid_and_looks_where_the_service_is(example: str, tmp_path: Path) -> None:
    text = (ROOT / f"examples/{example}.yaml").read_text()
    load_yaml(text, tmp_path)
    for path in re.findall(r"http://127\.0\.0\.1:\d+(/\S+)", text):
        assert f'"{path}"' in (ROOT / f"examples/{example}.py").read_text()
    (port,) = set(re.findall(r"http://127\.0\.0\.1:(\d+)", text))
    assert f"default={port}" in (ROOT / f"examples/{example}.py").read_text() and f"--port {port}" in text


# ---------------------------------------------------------------- the READMEs
def blocks(readme: str, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", (ROOT / readme).read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("readme", READMES)
def test_the_yaml_of_a_readme_is_valid(readme: str, tmp_path: Path) -> None:
    found = blocks(readme, "yaml")
    assert any("services:" in block for block in found)
    for block in found:
        services = "" if "services:" in block else "services: {a: {unit: a.service}}\n"
        load_yaml(services + block, tmp_path, ask=True)


@pytest.mark.parametrize("readme", READMES)
def test_the_secret_of_a_readme_is_for_nobody_but_root_and_the_daemon(readme: str) -> None:
    """What a unit's Environment= says, every local user can ask systemd for."""
    text = (ROOT / readme).read_text()
    assert 'url: "credential:ops-url"' in blocks(readme, "yaml")[0]
    assert "LoadCredential=ops-url:/etc/model-watchdog/ops-url" in text and "install -m 600 /dev/null /etc/model-watchdog/ops-url" in text
    assert not re.search(r"Environment=\w", text)


@pytest.mark.parametrize("readme", READMES)
def test_the_commands_of_a_readme_are_understood(readme: str) -> None:
    """Every `watchdog …` in code: the command is one, and its options are its own."""
    text = (ROOT / readme).read_text()
    written = re.findall(r"`(?:sudo )?watchdog ([a-z][^`]*)`", text) + re.findall(
        r"(?:^ {4}|&& |\$ )(?:sudo )?watchdog ([a-z][^\n#&]*)", text, re.MULTILINE
    )
    assert len(written) > 15
    for words in written:
        name, *rest = words.replace("\\|", " ").split()
        assert name in COMMANDS, f"watchdog {words}"
        parser = build_parser(name, load_command(name))
        known = {option for action in parser._actions for option in action.option_strings}
        options = {option.partition("=")[0] for option in re.findall(r"(?<![\w-])--[a-z-]+", " ".join(rest))}
        assert options <= known | GLOBAL_OPTIONS.keys(), f"watchdog {words}"


@pytest.mark.parametrize("readme", READMES)
def test_the_links_of_a_readme_lead_somewhere(readme: str) -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", (ROOT / readme).read_text()) if "://" not in link]
    assert {other for other in READMES if other != readme} <= set(links), "each links the other"
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_both_readmes_say_the_same_of_what_is_typed() -> None:
    """The same commands, states, causes, options and metrics."""
    english, chinese = (set(re.findall(r"[a-z]+[_-][a-z_-]+|`[a-z]+`", re.sub("```.*?```", "", text, flags=re.DOTALL)))
                        for text in ((ROOT / readme).read_text() for readme in READMES))  # fmt: skip
    named = {word for word in english if "_" in word or word.strip("`") in COMMANDS}
    assert not named - chinese, f"README.zh-CN.md does not name {sorted(named - chinese)}"
