"""A FastAPI model service that can be watched. The model, of pairs of characters, is the part to replace; keep what is around it.

pip install fastapi uvicorn, and what service_kit.py and service_log.py need
python fastapi_service.py --port 8000 --log /var/log/fastapi-service.log
"""

import argparse
import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import prometheus_client as metrics
import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from interlock import CircuitOpenError
from pydantic import BaseModel, Field

import service_kit as kit
import service_log

CORPUS = "中国的首都是北京。法国的首都是巴黎。今天北京的天气很好,我很开心。北京是中国的首都,巴黎是法国的首都。"


class Model:
    """Knows which character follows which."""

    def __init__(self) -> None:
        self.pairs = Counter(itertools.pairwise(CORPUS))

    def fill(self, text: str) -> Iterator[kit.Token]:
        before, _, after = text.partition("[MASK]")
        yield self._choose({c: self.pairs[before[-1:], c] * (self.pairs[c, after[:1]] if after else 1) for c in sorted(set(CORPUS))})

    def generate(self, text: str, most: int) -> Iterator[kit.Token]:
        for _ in range(most):
            token, score = self._choose({c: self.pairs[text[-1:], c] for c in sorted(set(CORPUS))})
            yield token, score
            text += token

    def _choose(self, weights: dict[str, int]) -> kit.Token:
        best = max(weights, key=weights.__getitem__)
        return best, round(weights[best] / max(sum(weights.values()), 1), 4)


class Asked(BaseModel):
    text: Annotated[str, Field(min_length=1, max_length=2000)]
    max_tokens: Annotated[int, Field(ge=1, le=256)] = 16


app, model = FastAPI(), Model()


@app.post("/fill-mask")
def fill_mask(asked: Asked) -> list[dict[str, Any]]:
    if "[MASK]" not in asked.text:
        raise HTTPException(422, "there is no [MASK] in the text")
    found = kit.breaker.call(list, kit.run("mask_prediction", asked.text.encode(), model.fill(asked.text)))
    return [{"token_str": token, "score": score} for token, score in found]


@app.post("/generate")
def generate(asked: Asked) -> StreamingResponse:
    tokens = kit.run("generation", asked.text.encode(), model.generate(asked.text, asked.max_tokens))
    first = kit.breaker.call(next, tokens)  # before the status is sent: after it nothing can be turned away
    return StreamingResponse((token for token, _ in itertools.chain([first], tokens)), media_type="text/plain; charset=utf-8")


@app.exception_handler(CircuitOpenError)
async def turn_away(request: Request, error: CircuitOpenError) -> Response:
    return JSONResponse({"detail": "the model fails, and is left alone for a while"}, 503, kit.turn_away(error))


@app.exception_handler(kit.ModelFailed)
async def tell_failure(request: Request, error: kit.ModelFailed) -> Response:
    return JSONResponse({"detail": "the model failed"}, 500)


@app.get("/healthz")
async def healthz() -> Response:
    return JSONResponse(*kit.tell_health())


@app.get("/metrics")
async def show_metrics() -> Response:
    return Response(metrics.generate_latest(), media_type=metrics.CONTENT_TYPE_LATEST)


@app.middleware("http")
async def count(request: Request, call_next: Any) -> Response:
    response: Response = await call_next(request)
    path = getattr(request.scope.get("route"), "path", "other")  # never as it came: each address would be a series
    kit.REQUESTS.labels(request.method, path, str(response.status_code)).inc()
    return response


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--log", type=Path, required=True)
    options = parser.parse_args()
    service_log.open_log(options.log)
    service_log.log_start("pairs of characters")
    uvicorn.run(app, port=options.port, log_config=None, access_log=False)
