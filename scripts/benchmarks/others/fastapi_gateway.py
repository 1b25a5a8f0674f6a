"""What Tollgate is compared with: a gateway as FastAPI's and Redis's tutorials build it. PyJWT verifies the
token; a counter of Redis for each client and minute limits requests; httpx sends them on, and streams what
comes back."""

import os
import time
from contextlib import asynccontextmanager

import httpx
import jwt
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from redis.asyncio import Redis
from starlette.background import BackgroundTask

with open(os.environ["SECRET_FILE"], "rb") as file:
    SECRET = file.read()
REQUESTS_PER_MINUTE = 500_000_000
# Those of one connection only, or of the body as httpx sends it.
NOT_PASSED_ON = {"authorization", "connection", "content-length", "host", "transfer-encoding"}


@asynccontextmanager
async def lifespan(app):
    app.state.redis = Redis.from_url(os.environ["REDIS_URL"])
    app.state.engine = httpx.AsyncClient(base_url=os.environ["ENGINE_URL"], timeout=None)
    yield
    await app.state.engine.aclose()
    await app.state.redis.aclose()


app = FastAPI(lifespan=lifespan)
bearer = HTTPBearer()


def current_client(credentials: HTTPAuthorizationCredentials = Depends(bearer)) -> str:
    try:
        return jwt.decode(credentials.credentials, SECRET, algorithms=["HS256"])["sub"]
    except (jwt.InvalidTokenError, KeyError) as error:
        raise HTTPException(401, "invalid token") from error


async def within_limit(request: Request, client: str = Depends(current_client)) -> str:
    counter = f"requests:{client}:{int(time.time() // 60)}"
    async with request.app.state.redis.pipeline() as pipeline:
        count, _ = await pipeline.incr(counter).expire(counter, 60).execute()
    if count > REQUESTS_PER_MINUTE:
        raise HTTPException(429, "too many requests", headers={"Retry-After": "60"})
    return client


@app.api_route("/v1/{path:path}", methods=["GET", "POST"])
async def proxy(path: str, request: Request, client: str = Depends(within_limit)):
    headers = {name: value for name, value in request.headers.items() if name not in NOT_PASSED_ON}
    headers["X-Client-ID"] = client
    asked = request.app.state.engine.build_request(
        request.method, f"/v1/{path}", headers=headers, content=await request.body()
    )
    answer = await request.app.state.engine.send(asked, stream=True)
    passed_on = {name: value for name, value in answer.headers.items() if name not in NOT_PASSED_ON}
    return StreamingResponse(
        answer.aiter_raw(), answer.status_code, passed_on, background=BackgroundTask(answer.aclose)
    )
