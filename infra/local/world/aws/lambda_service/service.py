"""Finds or starts an environment for each invocation, and keeps the account's limits."""

from __future__ import annotations

import dataclasses
import io
import logging
import re
import threading
import time
import uuid
import zipfile
from pathlib import Path
from typing import Any

from moto.awslambda.models import lambda_backends

from ..authorization import Authorizer
from ..calls import CallLog
from ..cloudwatch import CloudWatch
from ..config import Config
from ..errors import ApiError
from ..identity import Identities, Principal
from ..timers import Timers
from .environment import Deployed, Environment
from .invocation import Answer, Invocation, Refused
from .records import LogStream, Records
from .spawn import Spawner

log = logging.getLogger(__name__)

SERVICE = "lambda.amazonaws.com"
ACCOUNT_CONCURRENCY = 1000
# AWS keeps an idle environment for some minutes and does not say how many.
IDLE_SECONDS = 600.0
# LogType Tail: "the last 4 KB of the execution log".
LONGEST_TAIL = 4096
_NAME_IN_ARN = re.compile(
    r"(?:arn:aws:lambda:[a-z0-9-]+:)?(?:\d{12}:)?(?:function:)?([\w-]+)(?::([\w$-]+))?$"
)


class LambdaService:
    def __init__(
        self,
        config: Config,
        identities: Identities,
        authorizer: Authorizer,
        timers: Timers,
        calls: CallLog,
        cloudwatch: CloudWatch,
    ):
        self._config = config
        self._identities = identities
        self._authorizer = authorizer
        self._timers = timers
        self._calls = calls
        self._records = Records(config, cloudwatch, authorizer)
        self._spawner = Spawner()
        self._lock = threading.Lock()
        self._idle: dict[Deployed, list[Environment]] = {}
        self._all: set[Environment] = set()
        self._active: dict[str, int] = {}
        self._kill_next: dict[str, float] = {}
        self._streams: dict[Environment, LogStream] = {}
        self.logging_configs: dict[str, dict[str, Any]] = {}
        """LoggingConfig by function name: moto does not keep it."""
        self._stopped = False
        self.endpoint = ""
        """Set by the server: what functions find in AWS_ENDPOINT_URL."""

    @property
    def backend(self) -> Any:
        return lambda_backends[self._config.account][self._config.region]

    def function(self, name: str, qualifier: str | None = None) -> Any:
        """moto's function by name or ARN. Raises Refused ResourceNotFoundException."""
        found = _NAME_IN_ARN.match(name)
        if found:
            try:
                return self.backend.get_function(found.group(1), found.group(2) or qualifier)
            except Exception:
                log.debug("no function %s", name, exc_info=True)
        arn = f"arn:aws:lambda:{self._config.region}:{self._config.account}:function:"
        full = name if name.startswith("arn:") else arn + name
        raise Refused("ResourceNotFoundException", f"Function not found: {full}", 404)

    def check_role(self, role_arn: str) -> None:
        """What CreateFunction says of a role that Lambda may not assume."""
        if not self._identities.trusts(role_arn, SERVICE):
            raise ApiError(
                "InvalidParameterValueException",
                "The role defined for the function cannot be assumed by Lambda.",
                400,
            )

    def invoke_as(
        self, role_arn: str, session: str, function: str, qualifier: str | None, payload: bytes
    ) -> Answer:
        """An invocation by Step Functions with the machine's role. Raises Refused."""
        known = self.function(function, qualifier)
        principal = Principal(
            arn=f"arn:aws:sts::{self._config.account}:assumed-role/"
            f"{role_arn.rsplit('/', 1)[-1]}/{session}",
            user_id="",
            account=self._config.account,
            source="stepfunctions",
            role_arn=role_arn,
        )
        try:
            arn = known.function_arn
            if not self._authorizer.role_allows(role_arn, "lambda:InvokeFunction", (arn,)):
                # Step Functions reports this one under the older SDK's name.
                raise Refused(
                    "AWSLambdaException",
                    f"User: {principal.arn} is not authorized to perform: lambda:InvokeFunction on "
                    f"resource: {arn} because no identity-based policy allows the "
                    "lambda:InvokeFunction action",
                    403,
                )
            answer = self.invoke(known, payload)
        except Refused as refused:
            self._calls.record("lambda", "Invoke", principal, refused.status)
            raise
        self._calls.record("lambda", "Invoke", principal, 200)
        return answer

    def invoke_later(self, function: str, payload: bytes) -> None:
        """An asynchronous invocation. AWS would try a failed one twice more; this does not."""
        known = self.function(function)
        threading.Thread(target=self.invoke, args=(known, payload), daemon=True).start()

    def invoke(self, function: Any, payload: bytes) -> Answer:
        """Raises Refused when throttled; an error of the function is an Answer."""
        deployed = self._deployed(function)
        self._enter(function)
        try:
            return self._run(deployed, Invocation(payload, deployed.timeout))
        finally:
            with self._lock:
                self._active[deployed.name] -= 1

    def kill_next(self, name: str, after_millis: float) -> None:
        """Local only: the next invocation's process dies so many milliseconds after it began."""
        self.function(name)
        self._kill_next[name] = after_millis / 1000

    def stop(self) -> None:
        with self._lock:
            self._stopped = True
            environments = list(self._all)
        for environment in environments:
            environment.kill()
        for environment in environments:
            environment.stop()
        self._spawner.stop()
        self._records.close()

    def _enter(self, function: Any) -> None:
        name = function.function_name
        with self._lock:
            reserved = function.reserved_concurrency
            active = self._active.get(name, 0)
            if reserved is not None and active >= int(reserved):
                reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
                raise Refused("TooManyRequestsException", "Rate Exceeded.", 429, reason)
            if sum(self._active.values()) >= ACCOUNT_CONCURRENCY:
                reason = "ConcurrentInvocationLimitExceeded"
                raise Refused("TooManyRequestsException", "Rate Exceeded.", 429, reason)
            self._active[name] = active + 1

    def _run(self, deployed: Deployed, invocation: Invocation) -> Answer:
        environment, cold = self._environment(deployed)
        doom = self._kill_next.pop(deployed.name, None)
        stream = self._streams[environment]
        stream.started(invocation.request_id)

        def begin() -> None:
            if doom is not None:
                self._timers.after(
                    doom, lambda: None if invocation.finished.is_set() else environment.kill()
                )

        environment.run(invocation, begin)
        ended = time.monotonic()
        environment.settle()
        peak = environment.peak_memory_kb()
        answer = invocation.answer
        assert answer is not None
        if peak is not None and peak > deployed.memory_mb * 1024:
            # Lambda's kernel would have ended it; here it is found out afterwards.
            environment.kill()
            exceeded = Invocation(b"", deployed.timeout, request_id=invocation.request_id)
            exceeded.crash("Runtime.ExitError", "Runtime exited with error: signal: killed")
            answer = exceeded.answer
            assert answer is not None
            stream.line(f"memory: {peak} kB used of {deployed.memory_mb} MB")
        duration = (ended - (invocation.started or ended)) * 1000
        self._release(environment)
        init = environment.init_millis if cold else None
        stream.ended(answer, duration, init, peak)
        self._records.invocation(
            {
                "function": deployed.name,
                "requestId": answer.request_id,
                "cold": cold,
                "initMillis": None if init is None else round(init, 2),
                "durationMillis": round(duration, 2),
                "peakMemoryKb": peak,
                "memorySizeMb": deployed.memory_mb,
                "outcome": "error" if answer.error else "success",
                "error": _error_type(answer),
            }
        )
        tail = "\n".join(environment.printed).encode()[-LONGEST_TAIL:]
        return dataclasses.replace(answer, log_tail=tail)

    def _environment(self, deployed: Deployed) -> tuple[Environment, bool]:
        with self._lock:
            if self._stopped:
                raise Refused("ServiceException", "the service is stopping", 500)
            warm = self._idle.get(deployed, [])
            while warm:
                environment = warm.pop()
                if environment.alive:
                    return environment, False
                self._all.discard(environment)
            outdated = [d for d in self._idle if d.name == deployed.name and d != deployed]
            old = [e for d in outdated for e in self._idle.pop(d)]
        for environment in old:
            self._discard(environment)
        return self._start(deployed), True

    def _start(self, deployed: Deployed) -> Environment:
        stream = self._records.stream(deployed)
        environment = Environment(
            deployed, self._variables(deployed, stream.name), self._spawner, stream.line
        )
        with self._lock:
            self._all.add(environment)
            self._streams[environment] = stream
        return environment

    def _variables(self, deployed: Deployed, stream: str) -> dict[str, str]:
        """As documented (lambda/latest/dg/configuration-envvars.html), and the endpoint."""
        credentials = self._identities.assume(deployed.role_arn, deployed.name, "lambda")
        return dict(deployed.variables) | {
            "_HANDLER": deployed.handler,
            "_X_AMZN_TRACE_ID": "",
            "AWS_REGION": self._config.region,
            "AWS_DEFAULT_REGION": self._config.region,
            "AWS_LAMBDA_FUNCTION_NAME": deployed.name,
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(deployed.memory_mb),
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": deployed.log_group,
            "AWS_LAMBDA_LOG_STREAM_NAME": stream,
            "AWS_ACCESS_KEY_ID": credentials.access_key_id,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
            "AWS_SESSION_TOKEN": credentials.session_token,
            "AWS_ENDPOINT_URL": self.endpoint,
            "LAMBDA_TASK_ROOT": str(deployed.task_root),
            "LANG": "en_US.UTF-8",
            "PATH": "/usr/local/bin:/usr/bin/:/bin:/opt/bin",
            "TZ": ":UTC",
        }

    def _release(self, environment: Environment) -> None:
        if not environment.alive:
            return self._discard(environment)
        environment.idle_since = time.monotonic()
        with self._lock:
            self._idle.setdefault(environment.function, []).append(environment)
        self._timers.after(IDLE_SECONDS, lambda: self._retire(environment))
        return None

    def _retire(self, environment: Environment) -> None:
        with self._lock:
            idle = self._idle.get(environment.function, [])
            if environment not in idle:
                return
            if time.monotonic() - environment.idle_since < IDLE_SECONDS - 1:
                return
            idle.remove(environment)
        self._discard(environment)

    def _discard(self, environment: Environment) -> None:
        environment.kill()
        with self._lock:
            self._all.discard(environment)
            self._streams.pop(environment, None)

    def _deployed(self, function: Any) -> Deployed:
        logs = self.logging_configs.get(function.function_name, {})
        return Deployed(
            name=function.function_name,
            arn=function.function_arn,
            role_arn=function.role,
            handler=function.handler or "bootstrap",
            timeout=float(function.timeout or 3),
            memory_mb=int(function.memory_size or 128),
            variables=tuple(sorted(dict(function.environment_vars or {}).items())),
            task_root=self._task_root(function),
            log_group=logs.get("LogGroup") or f"/aws/lambda/{function.function_name}",
            log_format=logs.get("LogFormat") or "Text",
        )

    def _task_root(self, function: Any) -> Path:
        """The deployed code, unpacked once: a rebuild changes nothing until it is deployed."""
        digest = re.sub(r"\W", "", function.code_sha_256)[:16]
        root = self._config.world / "functions" / function.function_name / digest
        if not root.exists():
            staging = root.with_name(f".{digest}-{uuid.uuid4().hex}")
            staging.mkdir(parents=True)
            with zipfile.ZipFile(io.BytesIO(function.code_bytes)) as archive:
                archive.extractall(staging)
            for file in staging.rglob("*"):
                file.chmod(0o755)
            try:
                staging.rename(root)
            except OSError:
                if not root.exists():
                    raise
        return root


def _error_type(answer: Answer) -> str | None:
    if answer.error is None:
        return None
    found = re.search(rb'"errorType"\s*:\s*"([^"]*)"', answer.payload)
    return found.group(1).decode(errors="replace") if found else "Unknown"
