"""A model service of other people's parts: sentence embeddings of wordllama, whose weights come in its package, served by FastAPI.

    embedding_service.py PORT CACHE MODE_FILE

CACHE is a folder of its own. The mode file holds `ok`, `leak` (32 MiB a request are kept) or `scramble` (the vectors are turned round).
"""

import shutil
import sys
from pathlib import Path
from typing import Any

import uvicorn
import wordllama  # type: ignore[import-untyped]  # it has no types
from fastapi import FastAPI
from wordllama import WordLlama

port, cache, mode_file = int(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3])
tokenizers = cache / "tokenizers"
tokenizers.mkdir(parents=True, exist_ok=True)
for file in (Path(wordllama.__file__).parent / "tokenizers").glob("*.json"):  # where the package lays it, it does not look for it
    shutil.copy(file, tokenizers)
model = WordLlama.load(cache_dir=cache, disable_download=True)
app = FastAPI()
leaked: list[bytearray] = []


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.get("/v1/models")
async def models() -> dict[str, Any]:
    return {"object": "list", "data": [{"id": "wordllama-256", "object": "model"}]}


@app.post("/v1/embeddings")
async def embed(asked: dict[str, Any]) -> dict[str, Any]:
    mode = mode_file.read_text().strip()
    if mode == "leak":
        leaked.append(bytearray(b"x" * (32 << 20)))
    vector = [float(number) for number in model.embed([str(asked["input"])])[0]]
    return {"object": "list", "data": [{"object": "embedding", "embedding": vector[::-1] if mode == "scramble" else vector}]}


uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
