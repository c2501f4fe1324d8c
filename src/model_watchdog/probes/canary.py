"""A canary: a tiny real request, for only an answer proves that a model answers."""

import asyncio
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from model_watchdog.answers import MISSING, Secrets, find_value, is_same, quote_body
from model_watchdog.asking import Asking, explain_status, find_faults, read_body
from model_watchdog.calls import Busy, NoSuchModel, Upload, check_status, encode, is_busy, parse, read_documents
from model_watchdog.conversation import (
    ANSWER_CAP,
    Heard,
    NotThisApi,
    Question,
    ask_ollama,
    ask_openai,
    find_error,
    read_loaded,
    read_vector,
)
from model_watchdog.core.answer import Expected, judge_text, judge_vector, show
from model_watchdog.core.sample import Failure
from model_watchdog.core.units import Seconds, Secret, Url
from model_watchdog.errors import ProbeError
from model_watchdog.patterns import Pattern
from model_watchdog.probes import Measurement, Observation, Surroundings
from model_watchdog.wire import httpx

MOST_TOKENS = 8
PROMPT = "Count from one to ten, in words."
"""Of more than one token, for the pace is measured between them."""
OVERDUE = 300.0
"""Seconds after which a model that is still being unloaded is not: Ollama's runner has hung (ollama#7606)."""
LISTED = 8
"""Models that are named at most where the one that is asked is not there."""
_UNKNOWN = re.compile(r"model.*(?:not (?:exist|found|available|loaded)|unknown)|(?:no such|unknown) model", re.I | re.S)
"""What servers say of a model that they do not have, where the status alone does not tell."""
FIRST, RATE, CORRECT = "canary_first_token_seconds", "canary_tokens_per_second", "canary_answer_correct"


@dataclass(frozen=True)
class Expect:
    """What the answer must be; one of these. `text` is contained in it, whatever the case; `json` maps dotted paths to values (api http);
    `embedding` is a file with a list of numbers, from which the answer's lies at most `distance` (cosine distance)."""

    text: str = ""
    regex: str = ""
    json: Mapping[str, Any] | None = None
    embedding: Path | None = None
    distance: float = 0.02

    @classmethod
    def parse(cls, written: Any) -> "Expect":
        """From what the YAML says: a text, or a mapping with one of `regex`, `json` and `embedding`. ValueError for anything else."""
        if not isinstance(written, Mapping):
            if written is None or isinstance(written, (list, tuple)) or str(written) == "":
                raise ValueError("expect takes a text, or {regex: …}, {json: {path: value}}, {embedding: FILE, distance: 0.02}")
            return cls(text=str(written))
        stated = [name for name in ("regex", "json", "embedding") if name in written]
        if len(stated) != 1 or not set(written) <= {*stated, "distance"} or ("distance" in written and stated != ["embedding"]):
            raise ValueError("expect takes one of regex, json and embedding; distance goes with embedding")
        value = written[stated[0]]
        if stated == ["json"]:
            if not isinstance(value, Mapping) or not value:
                raise ValueError("expect.json takes paths with their values, such as {label: cat}")
            return cls(json=dict(value))
        if stated == ["regex"]:
            return cls(regex=str(value))
        try:
            distance = float(written.get("distance", 0.02))
        except (TypeError, ValueError):
            distance = -1.0
        if not 0 <= distance <= 2:
            raise ValueError("expect.distance takes a number between 0 and 2, such as 0.02")
        return cls(embedding=Path(str(value)), distance=distance)

    @staticmethod
    def schema() -> dict[str, Any]:
        """What the YAML may say, as a JSON Schema."""
        plain = {"type": ["string", "number", "boolean"]}
        forms = {"regex": {"type": "string"}, "json": {"type": "object", "minProperties": 1}, "embedding": {"type": "string"}}
        forms["distance"] = {"type": ["number", "string"]}
        return {"anyOf": [plain, {"type": "object", "properties": forms, "additionalProperties": False}]}

    def shown(self) -> Any:
        """As the YAML would say it."""
        if self.regex:
            return {"regex": self.regex}
        if self.json is not None:
            return {"json": dict(self.json)}
        return {"embedding": str(self.embedding), "distance": self.distance} if self.embedding is not None else self.text


@dataclass(frozen=True)
class Canary:
    """The kind `canary`: a real request, sent only while the service has nothing to do. `url` is the server's address; with api `http`
    the whole address of the call, whose `body` (JSON) or `file` is sent, and `answer` the dotted path of the text or embedding in what
    comes back. Without `model` the first that the server serves is asked."""

    url: Url
    api: Literal["openai", "ollama", "http"] = "openai"
    endpoint: Literal["chat", "completions", "embeddings"] = "chat"
    model: str | None = None
    prompt: str = PROMPT
    max_tokens: int = MOST_TOKENS
    expect: Expect | None = None
    method: str = "POST"
    body: Mapping[str, Any] | None = None
    file: Upload | None = None
    answer: str | None = None
    headers: Mapping[str, Secret] = field(default_factory=dict)
    bearer: Secret | None = None
    ca_file: Path | None = None

    default_every: ClassVar[Seconds] = Seconds(60.0)
    for_service: ClassVar[bool] = True
    metrics: ClassVar[tuple[str, ...]] = (FIRST, RATE, CORRECT, "canary_distance", "canary_skipped_total")

    def faults(self) -> list[str]:
        """What is wrong with the options, one sentence each."""
        found = find_faults(self)
        if not 1 <= self.max_tokens <= MOST_TOKENS:
            found.append(f"max_tokens must lie between 1 and {MOST_TOKENS}: a canary is no load")
        for name in ("body", "file", "answer"):
            if self.api != "http" and getattr(self, name) is not None:
                found.append(f"{name} goes with api: http")
        if self.api == "http" and self.body is not None and self.file is not None:
            found.append("state body or file, not both")
        if self.api != "http" and self.method != "POST":
            found.append("method goes with api: http")
        if not re.fullmatch("[A-Z]{1,20}", self.method) or self.method in ("CONNECT", "HEAD"):
            found.append("method must be a word in capitals, such as GET or POST")
        if self.api != "openai" and self.endpoint != "chat":
            found.append("endpoint goes with api: openai")
        expect = self.expect or Expect()
        found += self._find_unjudged(expect)
        try:
            Pattern(expect.regex)
        except ValueError as error:
            found.append(f"expect.regex: {error}")
        for path in (expect.embedding, self.file.path if self.file else None):
            if path is not None and not path.is_file():
                found.append(f"there is no file {path}")
        return found

    def _find_unjudged(self, expect: Expect) -> list[str]:
        """What is expected of an answer of another kind, and would never be looked at."""
        if self.api == "http":
            return []
        found = [] if expect.json is None else ["expect: {json: …} goes with api: http"]
        embeds = self.api == "openai" and self.endpoint == "embeddings"
        if expect.embedding is not None and not embeds:
            found.append("expect: {embedding: …} goes with endpoint: embeddings, or api: http")
        if embeds and (expect.text or expect.regex):
            found.append("an embedding is no text: with endpoint: embeddings expect takes {embedding: FILE}")
        return found

    def open(self, surroundings: Surroundings) -> "_Running":
        """The probe, ready to be run; nothing is connected yet."""
        return _Running(self, surroundings.timeout)


class _Running:
    def __init__(self, config: Canary, timeout: float) -> None:
        self._config = config
        self._timeout = timeout
        self._base = config.url.rstrip("/") if config.api == "http" else config.url.rstrip("/").removesuffix("/v1")
        self._model = config.model or ""
        self._stays: float | None = None  # seconds until Ollama unloads it, where it tells
        self._asking: dict[str, Asking] = {}
        self._left: list[Asking] = []

    async def observe(self) -> Observation:
        """Asks once. Raises ProbeError: CONFIG where what is asked cannot be answered, else as the server failed."""
        while self._left:
            await self._left.pop().close()
        try:
            return await self._observe()
        except Busy as busy:
            return Observation((), busy.detail)

    async def _observe(self) -> Observation:
        if self._config.api == "http":
            return await self._call()
        if self._config.api == "ollama":
            if not await self._find_loaded():
                return Observation((), "no model is loaded, or for long enough: there is nothing to ask")
        elif not self._model:
            await self._find_model()
        return await self._converse()

    async def close(self) -> None:
        asked, self._asking, self._left = [*self._asking.values(), *self._left], {}, []
        for asking in asked:
            await asking.close()

    def _open(self, path: str, method: str = "GET", content: bytes = b"", kind: str = "") -> Asking:
        """What asks at this address, and with this body: another body needs another one."""
        key = f"{method} {path}"
        if key not in self._asking or self._asking[key].content != content:
            self._left += [self._asking.pop(key)] if key in self._asking else []
            target = replace(self._config, url=Url(self._base + path))
            self._asking[key] = Asking(target, self._timeout, method, content, kind)
        return self._asking[key]

    async def _find_model(self) -> None:
        """The first model that the server serves."""
        name = find_value(await self._fetch("/v1/models"), "data.0.id")
        if name is MISSING:
            raise ProbeError(Failure.CONFIG, "the server names no model (/v1/models); state model:")
        self._model = str(name)

    async def _find_loaded(self) -> bool:
        """A model that is loaded, and stays so for the time of a question: none is loaded, or kept, on our account."""
        loaded = read_loaded(await self._fetch("/api/ps"), time.time())
        name = self._config.model or next(iter(loaded), "")
        name = name if name in loaded else f"{name}:latest"  # as Ollama calls one that is named without a tag
        overdue = -(loaded.get(name) or 0.0)
        if overdue > OVERDUE:
            text = f"the model {show(name)} was to be unloaded {overdue / 60:.0f} min ago, and is still there: its runner hangs"
            raise ProbeError(Failure.STATUS, text)
        self._model, self._stays = name, loaded.get(name, 0.0)
        return self._stays is None or self._stays > self._timeout

    async def _fetch(self, path: str) -> Any:
        asking = self._open(path)

        async def take(response: httpx.Response) -> Any:
            check_status(response)
            return parse(await read_body(response, ANSWER_CAP, asking.secrets), asking.secrets)

        return await asking.ask(take)

    def _question(self) -> Question:
        config = self._config
        if config.api == "ollama":
            return ask_ollama(self._model, config.prompt, config.max_tokens, self._stays)
        return ask_openai(config.endpoint, self._model, config.prompt, config.max_tokens)

    async def _converse(self) -> Observation:
        question = self._question()
        asking = self._open(question.path, "POST", json.dumps(question.body).encode(), "application/json")
        heard, began = Heard(), time.monotonic()

        async def take(response: httpx.Response) -> None:
            await self._check_answer(response, asking)
            try:
                async for document in read_documents(response, asking.secrets):
                    if error := find_error(document):
                        raise ProbeError(Failure.STATUS, f"the server says: {show(asking.secrets.mask_text(error))}")
                    question.hear(heard, document, time.monotonic())
            except NotThisApi as error:
                text = f"the answer is none of this API: {error}; is it the right url and endpoint?"
                raise ProbeError(Failure.CONFIG, text) from None

        try:
            await asking.ask(take)
        except NoSuchModel as error:
            self._model = self._config.model or ""  # the first one that there is is looked for again
            left = began + self._timeout - time.monotonic()
            raise ProbeError(Failure.CONFIG, error.detail + await self._list_models(left)) from None
        if heard.vector is not None:
            return self._judge_vector(heard.vector, heard, began)
        return self._judge_text(heard.text, heard, began, asking.secrets)

    async def _list_models(self, seconds: float) -> str:
        """Which models there are, as a part of a sentence; nothing where that is not told in so many seconds."""
        path, rows, key = ("/api/tags", "models", "name") if self._config.api == "ollama" else ("/v1/models", "data", "id")
        try:
            async with asyncio.timeout(seconds):
                found = find_value(await self._fetch(path), rows)
        except (ProbeError, TimeoutError):
            return ""
        named = [row[key] for row in found if isinstance(row, dict) and isinstance(row.get(key), str)] if isinstance(found, list) else []
        secrets = self._open(path).secrets
        listed = ", ".join(show(secrets.mask_text(name)) for name in named[:LISTED]) + (", …" if len(named) > LISTED else "")
        return f"; there is {listed}" if named else "; there is none"

    async def _check_answer(self, response: httpx.Response, asking: Asking) -> None:
        """Raises where the status is not good, with what the server says of it."""
        status = response.status_code
        if 200 <= status < 300 or is_busy(response):
            check_status(response)
            return
        try:
            document = parse(await read_body(response, ANSWER_CAP, asking.secrets), asking.secrets)
        except ProbeError:
            document = None
        said = find_error(document)
        text = "; it wants a key: state bearer:" if status in (401, 403) else ""
        text += f"; the server says: {show(asking.secrets.mask_text(said))}" if said else ""
        if self._config.api == "http":
            check_status(response, text)
        text += f"; asked was the model {show(self._model)} at {self._question().path}"
        if status == 404 or (status in (400, 422) and _UNKNOWN.search(said)):
            raise NoSuchModel(Failure.CONFIG, explain_status(status) + text)
        check_status(response, text)

    async def _call(self) -> Observation:
        """Any call: what comes back is JSON, or text."""
        config, expect = self._config, self._config.expect or Expect()
        content, kind = encode(config.body, config.file)
        asking, began = self._open("", config.method, content, kind), time.monotonic()

        async def take(response: httpx.Response) -> bytes:
            await self._check_answer(response, asking)
            return await read_body(response, ANSWER_CAP, asking.secrets)

        body = await asking.ask(take)
        heard = Heard(first_at=time.monotonic())
        if config.answer is None and expect.json is None:
            return self._judge_text(body.decode("utf-8", "replace"), heard, began, asking.secrets)
        document = parse(body, asking.secrets)
        for path, wanted in (expect.json or {}).items():
            found = find_value(document, path)
            if not is_same(found, wanted):
                said = "missing" if found is MISSING else show(asking.secrets.mask_text(json.dumps(found, ensure_ascii=False, default=str)))
                return self._conclude(f"the answer's {path} is {said}, not {json.dumps(wanted, ensure_ascii=False)}", heard, began, "")
        if config.answer is None:
            return self._conclude("", heard, began, "")
        found = find_value(document, config.answer)
        if found is MISSING:
            raise ProbeError(Failure.CONFIG, f"there is no {config.answer} in the answer: {quote_body(body, asking.secrets)}")
        if isinstance(found, list) and all(value is None or isinstance(value, (int, float)) for value in found):
            return self._judge_vector(read_vector(found), heard, began)
        return self._judge_text("null" if found is None else str(found), heard, began, asking.secrets)

    def _expected(self) -> Expected:
        expect = self._config.expect or Expect()
        reference: tuple[float, ...] = ()
        if expect.embedding is not None:
            try:
                reference = read_vector(json.loads(expect.embedding.read_text("utf-8")))
            except (OSError, ValueError, TypeError, RecursionError) as error:
                raise ProbeError(Failure.CONFIG, f"{expect.embedding} holds no list of numbers: {error}") from None
            if wrong := judge_vector(reference)[0]:  # whatever is compared with it would be right
                raise ProbeError(Failure.CONFIG, f"{expect.embedding} holds no list of numbers: {wrong}")
        return Expected(expect.text, expect.regex, reference, expect.distance, _search)

    def _judge_text(self, text: str, heard: Heard, began: float, secrets: Secrets) -> Observation:
        return self._conclude(judge_text(text, self._expected(), secrets.mask_text), heard, began, secrets.mask_text(text))

    def _judge_vector(self, vector: tuple[float, ...], heard: Heard, began: float) -> Observation:
        wrong, distance = judge_vector(vector, self._expected())
        more: list[Measurement] = [] if distance is None else [("canary_distance", {}, distance)]
        return self._conclude(wrong, heard, began, f"{len(vector)} numbers", more)

    def _conclude(self, wrong: str, heard: Heard, began: float, answer: str, more: list[Measurement] | None = None) -> Observation:
        measured: list[Measurement] = [(CORRECT, {}, 0.0 if wrong else 1.0), *(more or [])]
        if heard.first_at is not None:
            measured.append((FIRST, {}, heard.first_at - began))
        if (rate := heard.tokens_per_second) is not None:
            measured.append((RATE, {}, rate))
        return Observation(measured, wrong or f"answered {show(answer.strip())}" * bool(answer))


def _search(pattern: str, text: str) -> bool:
    return Pattern(pattern).count(text.encode()) > 0
