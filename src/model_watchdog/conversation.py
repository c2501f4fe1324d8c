"""What a model server is asked by a canary, and how its answer is read: OpenAI's API, and Ollama's own."""

import json
import math
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

FOR_EVER = 10 * 365 * 86_400.0
"""Seconds: a model that is to stay for longer has no end planned."""
ANSWER_CAP = 256 * 1024
"""Bytes of an answer that are read at most."""


class NotThisApi(Exception):
    """The answer is none of this API; its text says what came."""


@dataclass
class Heard:
    """What has been heard of an answer so far. `first_at` is when its first text came, `tokens` how many pieces of text there are."""

    text: str = ""
    tokens: int = 0
    first_at: float | None = None
    last_at: float | None = None
    rate: float | None = None
    vector: tuple[float, ...] | None = None

    def add(self, text: str, at: float) -> None:
        """A piece of text; empty ones (the role, the end) are none."""
        if text:
            self.text += text
            self.tokens += 1
            self.first_at = at if self.first_at is None else self.first_at
            self.last_at = at

    @property
    def tokens_per_second(self) -> float | None:
        """As the server says, or by the clock: the tokens after the first over the time after it. None for fewer than two."""
        if self.rate is not None:
            return self.rate
        if self.first_at is None or self.last_at is None or self.tokens < 2 or self.last_at <= self.first_at:
            return None
        return (self.tokens - 1) / (self.last_at - self.first_at)


@dataclass(frozen=True)
class Question:
    """One request: where, what, and what takes in each line of its answer."""

    path: str
    body: dict[str, Any]
    hear: Callable[[Heard, dict[str, Any], float], None] = field(repr=False)


def ask_openai(endpoint: str, model: str, prompt: str, most: int) -> Question:
    """`endpoint` is chat, completions or embeddings."""
    if endpoint == "embeddings":
        return Question("/v1/embeddings", {"model": model, "input": prompt}, _hear_embedding)
    common = {"model": model, "max_tokens": most, "temperature": 0, "stream": True}
    if endpoint == "completions":
        return Question("/v1/completions", {**common, "prompt": prompt}, _hear_choice)
    return Question("/v1/chat/completions", {**common, "messages": [{"role": "user", "content": prompt}]}, _hear_choice)


def ask_ollama(model: str, prompt: str, most: int, stays: float | None) -> Question:
    """Ollama's own API. Each request begins the time anew after which it unloads a model (`keep_alive`): this one states what was left of
    it, `stays` seconds (infinity: for ever; None: not known), so that a canary keeps no model on the GPU."""
    body = {"model": model, "prompt": prompt, "stream": True, "options": {"num_predict": most, "temperature": 0}}
    if stays is not None:
        body["keep_alive"] = -1 if math.isinf(stays) else int(stays)
    return Question("/api/generate", body, _hear_ollama)


def read_loaded(document: Any, now: float) -> dict[str, float | None]:
    """Of `/api/ps`: the models that are loaded, with the seconds until each is unloaded; infinity: never, None where that is not told."""
    found: dict[str, float | None] = {}
    models = document.get("models") if isinstance(document, dict) else None
    for model in models if isinstance(models, list) else ():
        if isinstance(model, dict) and isinstance(model.get("name"), str):
            found[model["name"]] = _read_stay(str(model.get("expires_at", "")), now)
    return found


def _read_stay(text: str, now: float) -> float | None:
    """`2026-01-01T12:00:00.123456789+08:00`; what is to stay for ever expires in some hundred years."""
    shortened = re.sub(r"(\.[0-9]{1,6})[0-9]*", r"\1", text)
    try:
        left = datetime.fromisoformat(shortened).timestamp() - now
    except (ValueError, OverflowError):
        return None
    return left if left < FOR_EVER else math.inf


async def read_lines(chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The lines of an answer as they come; raises NotThisApi where it is longer than any answer of a few tokens."""
    waiting, size = b"", 0
    async for chunk in chunks:
        size += len(chunk)
        if size > ANSWER_CAP:
            raise NotThisApi(f"more than {ANSWER_CAP // 1024} KiB for a few tokens")
        *lines, waiting = (waiting + chunk).split(b"\n")
        for line in lines:
            yield line
    if waiting:
        yield waiting


def read_line(line: bytes) -> dict[str, Any] | None:
    """The document in a line of a stream (server-sent events, or JSON a line), None where there is none."""
    text = line.strip()
    if text.startswith(b"data:"):
        text = text[5:].strip()
    elif text.startswith((b":", b"event:", b"id:", b"retry:")):
        return None
    if not text or text == b"[DONE]":
        return None
    try:
        document = json.loads(text.decode("utf-8"))
    except (ValueError, RecursionError):
        raise NotThisApi("it is no JSON") from None
    if not isinstance(document, dict):
        raise NotThisApi("it is JSON, but no object")
    return document


def find_error(document: Any) -> str:
    """The error that a document tells of, or nothing."""
    if not isinstance(document, dict):
        return ""
    error = document.get("error", document.get("message") if document.get("object") == "error" else None)
    if isinstance(error, dict):
        error = error.get("message", error)
    return str(error) if error else ""


def read_vector(values: Any) -> tuple[float, ...]:
    """A list of numbers; null is none (NaN), and one that is too large is infinite. Raises TypeError or ValueError for anything else."""
    return tuple(_read_number(value) for value in values)


def _read_number(value: Any) -> float:
    try:
        return math.nan if value is None else float(value)
    except OverflowError:  # JSON's whole numbers have no end
        return math.inf


def _hear_choice(heard: Heard, document: dict[str, Any], at: float) -> None:
    choices = document.get("choices")
    if not isinstance(choices, list):
        raise NotThisApi("it has no choices")
    for choice in choices[:1]:
        part = choice.get("delta") or choice.get("message") or choice if isinstance(choice, dict) else None
        if not isinstance(part, dict):
            raise NotThisApi("its choice is no object")
        for name in ("content", "reasoning_content", "reasoning", "text"):
            if isinstance(part.get(name), str):
                heard.add(part[name], at)


def _hear_embedding(heard: Heard, document: dict[str, Any], at: float) -> None:
    try:
        heard.vector = read_vector(document["data"][0]["embedding"])
    except (KeyError, IndexError, TypeError, ValueError):
        raise NotThisApi("it has no embedding") from None
    heard.first_at = at


def _hear_ollama(heard: Heard, document: dict[str, Any], at: float) -> None:
    said = document.get("response", 0)
    if said is not None and not isinstance(said, str):
        raise NotThisApi("it has no response")
    heard.add((said or "") + str(document.get("thinking") or ""), at)
    count, spent = document.get("eval_count"), document.get("eval_duration")
    if isinstance(count, int) and isinstance(spent, int) and spent > 0 and count > 1:
        heard.rate = count / (spent / 1e9)
