"""The Lambda service: processes behind the runtime API, their limits, their ends, their records."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import threading
import time
from pathlib import Path

import pytest
import requests
from aws_support import Aws, aws, package, until, written  # noqa: F401
from botocore.exceptions import ClientError

ECHO = "def handle(event, context): return event"
PID = "def handle(event, context): return os.getpid()"


def invoke(aws: Aws, name: str, payload: object = None, **more) -> tuple[object, dict]:
    answer = aws.client("lambda").invoke(
        FunctionName=name, Payload=json.dumps(payload).encode(), **more
    )
    return json.loads(answer["Payload"].read()), answer


def invocations(aws: Aws, name: str) -> list[dict]:
    path = aws.world / "lambda-invocations.jsonl"
    entries = written(path)
    return [entry for entry in entries if entry["function"] == name]


def test_a_function_answers(aws):
    result, answer = invoke(aws, aws.function(ECHO), {"a": [1, None]})
    assert result == {"a": [1, None]}
    assert answer["StatusCode"] == 200
    assert "FunctionError" not in answer


def test_a_warm_process_is_used_again(aws):
    name = aws.function(PID)
    assert invoke(aws, name)[0] == invoke(aws, name)[0]
    assert [entry["cold"] for entry in invocations(aws, name)] == [True, False]


def test_a_process_runs_one_invocation_at_a_time(aws):
    name = aws.function("def handle(event, context):\n time.sleep(0.3)\n return os.getpid()")
    pids: list[object] = []
    threads = [threading.Thread(target=lambda: pids.append(invoke(aws, name)[0])) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(pids)) == 3


def test_between_invocations_a_process_is_frozen(aws):
    name = aws.function(PID)
    pid = invoke(aws, name)[0]
    until(lambda: "T (stopped)" in Path(f"/proc/{pid}/status").read_text())
    assert invoke(aws, name)[0] == pid


def test_the_runtime_api_tells_the_invocation(aws):
    name = aws.function("def handle(event, context): return context")
    headers = {key.lower(): value for key, value in invoke(aws, name)[0].items()}
    assert headers["lambda-runtime-invoked-function-arn"].endswith(f":function:{name}")
    assert headers["lambda-runtime-trace-id"].startswith("Root=1-")
    left = int(headers["lambda-runtime-deadline-ms"]) / 1000 - time.time()
    assert 3 < left <= 5
    assert len(headers["lambda-runtime-aws-request-id"]) == 36


def test_the_environment_is_what_is_deployed_and_what_lambda_adds(aws):
    name = aws.function(
        "def handle(event, context): return dict(os.environ)",
        Environment={"Variables": {"CLUSTER_NAME": "tidegate"}},
    )
    seen = invoke(aws, name)[0]
    seen.pop("LC_CTYPE", None)  # Python's own doing
    assert set(seen) == {
        "CLUSTER_NAME",
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_ENDPOINT_URL",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_TASK_ROOT",
        "LANG",
        "PATH",
        "TZ",
    }
    assert seen["CLUSTER_NAME"] == "tidegate"
    assert seen["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
    assert seen["AWS_LAMBDA_LOG_GROUP_NAME"] == f"/aws/lambda/{name}"
    assert "/" not in seen["AWS_LAMBDA_RUNTIME_API"]


def test_a_function_is_its_roles_session(aws):
    role = aws.role("lambda.amazonaws.com")
    name = aws.function(
        "import boto3\n"
        "def handle(event, context): return boto3.client('sts').get_caller_identity()['Arn']",
        role=role,
        Timeout=20,
    )
    expected = f"arn:aws:sts::123456789012:assumed-role/{role.split('/')[-1]}/{name}"
    assert invoke(aws, name)[0] == expected
    call = next(c for c in reversed(aws.calls()) if c["principal"] == expected)
    assert call | {"time": 0} == {
        "time": 0,
        "service": "sts",
        "action": "GetCallerIdentity",
        "principal": expected,
        "status": 200,
        "source": "lambda",
    }


def test_an_error_of_the_function_is_a_200_with_the_error_header(aws):
    result, answer = invoke(aws, aws.function("def handle(event, context): raise ValueError('x')"))
    assert result == {"errorType": "ValueError", "errorMessage": "x"}
    assert (answer["StatusCode"], answer["FunctionError"]) == (200, "Unhandled")


def test_a_function_over_its_time_is_killed(aws):
    name = aws.function("def handle(event, context):\n time.sleep(60)", Timeout=1)
    result, answer = invoke(aws, name)
    assert result["errorType"] == "Sandbox.Timedout"
    request = answer["ResponseMetadata"]["RequestId"]
    assert result["errorMessage"] == (
        f"RequestId: {request} Error: Task timed out after 1.00 seconds"
    )
    assert invocations(aws, name)[0]["error"] == "Sandbox.Timedout"


def test_a_killed_process_is_a_runtime_exit_error(aws):
    name = aws.function("def handle(event, context): time.sleep(2)")
    assert aws.admin("POST", f"lambda/{name}/kill-next", {"afterMillis": 100})
    result, answer = invoke(aws, name)
    assert result["errorType"] == "Runtime.ExitError"
    assert result["errorMessage"].endswith("Error: Runtime exited with error: signal: killed")
    assert answer["FunctionError"] == "Unhandled"
    assert invoke(aws, name)[0] is None, "only the next invocation was to die"


def test_a_process_that_exits_by_itself_says_its_status(aws):
    result, _ = invoke(aws, aws.function("def handle(event, context): os._exit(3)"))
    assert result["errorMessage"].endswith("Error: Runtime exited with error: exit status 3")


def test_a_process_that_never_comes_up_fails_its_invocation(aws):
    result, _ = invoke(aws, aws.function("sys.exit(7)"))
    assert result["errorType"] == "Runtime.ExitError"
    assert "exit status 7" in result["errorMessage"]


def test_memory_over_the_deployed_size_ends_the_process(aws):
    code = "def handle(event, context): return len(bytearray(200_000_000) or b'')"
    name = aws.function(code, MemorySize=128)
    result, _ = invoke(aws, name)
    assert result["errorType"] == "Runtime.ExitError"
    (entry,) = invocations(aws, name)
    assert entry["peakMemoryKb"] > 128 * 1024
    assert entry["memorySizeMb"] == 128


def test_reserved_concurrency_throttles(aws):
    name = aws.function("def handle(event, context): time.sleep(1)")
    aws.client("lambda").put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    first = threading.Thread(target=lambda: invoke(aws, name))
    first.start()
    time.sleep(0.3)
    with pytest.raises(ClientError) as raised:
        invoke(aws, name)
    first.join()
    assert raised.value.response["Error"]["Code"] == "TooManyRequestsException"
    assert raised.value.response["ResponseMetadata"]["HTTPStatusCode"] == 429


def test_an_unknown_function_is_not_found(aws):
    with pytest.raises(ClientError, match="Function not found: arn:aws:lambda") as raised:
        invoke(aws, "nobody")
    assert raised.value.response["Error"]["Code"] == "ResourceNotFoundException"


def test_an_invocation_is_recorded_with_its_memory_and_times(aws):
    name = aws.function(ECHO)
    invoke(aws, name, 1)
    (entry,) = invocations(aws, name)
    assert entry["outcome"] == "success" and entry["error"] is None
    assert entry["cold"] and entry["initMillis"] > 0
    assert entry["durationMillis"] > 0
    assert 1000 < entry["peakMemoryKb"] < 100_000


def test_what_a_function_prints_is_in_its_file_and_in_its_log_group(aws):
    name = aws.function("def handle(event, context): print('the tide is', event, flush=True)")
    _, answer = invoke(aws, name, "high", LogType="Tail")
    assert b"the tide is high" in base64.b64decode(answer["LogResult"])
    text = (aws.world / "logs" / "functions" / f"{name}.log").read_text()
    assert "START RequestId:" in text and "the tide is high" in text
    assert "REPORT RequestId:" in text and "Max Memory Used:" in text
    logged = aws.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")
    assert "the tide is high" in [event["message"] for event in logged["events"]]


METRIC = """
def handle(event, context):
    print(json.dumps({
        "_aws": {"Timestamp": int(time.time() * 1000), "CloudWatchMetrics": [{
            "Namespace": "Tidegate", "Dimensions": [["Cluster"]],
            "Metrics": [{"Name": "JoinSeconds", "Unit": "Seconds"}]}]},
        "Cluster": "tidegate", "JoinSeconds": 12.5}), flush=True)
"""


def test_embedded_metrics_become_metrics(aws):
    invoke(aws, aws.function(METRIC))
    until(
        lambda: aws.client("cloudwatch").list_metrics(
            Namespace="Tidegate",
            MetricName="JoinSeconds",
            Dimensions=[{"Name": "Cluster", "Value": "tidegate"}],
        )["Metrics"]
    )


def test_new_code_and_new_settings_are_for_new_processes(aws):
    name = aws.function("def handle(event, context): return os.environ.get('A', 'none')")
    assert invoke(aws, name)[0] == "none"
    client = aws.client("lambda")
    client.update_function_configuration(FunctionName=name, Environment={"Variables": {"A": "set"}})
    assert invoke(aws, name)[0] == "set"
    client.update_function_code(
        FunctionName=name, ZipFile=package("def handle(event, context): return 'new code'")
    )
    assert invoke(aws, name)[0] == "new code"


def test_a_role_that_lambda_may_not_assume_is_refused(aws):
    role = aws.role("ec2.amazonaws.com")
    with pytest.raises(ClientError, match="cannot be assumed by Lambda"):
        aws.function(ECHO, role=role)


def test_an_asynchronous_invocation_is_accepted_and_done(aws):
    name = aws.function(ECHO)
    answer = aws.client("lambda").invoke(FunctionName=name, InvocationType="Event", Payload=b"{}")
    assert answer["StatusCode"] == 202
    until(lambda: invocations(aws, name))


def test_a_process_that_asks_before_its_start_is_known_gets_its_invocation(tmp_path):
    """A compiled bootstrap is faster than the return of the call that starts it."""
    from world.aws.lambda_service.environment import Deployed, Environment
    from world.aws.lambda_service.invocation import Invocation

    answers: list[bytes] = []

    class Hasty:
        def spawn(self, command, variables, directory):
            host = variables["AWS_LAMBDA_RUNTIME_API"]
            url = f"http://{host}/2018-06-01/runtime/invocation/"

            def runtime() -> None:
                asked = requests.get(url + "next", timeout=10)
                answers.append(asked.content)
                request = asked.headers["Lambda-Runtime-Aws-Request-Id"]
                requests.post(f"{url}{request}/response", data=b'"done"', timeout=10)

            threading.Thread(target=runtime, daemon=True).start()
            time.sleep(0.2)
            return subprocess.Popen(["sleep", "60"], stdout=subprocess.PIPE)

    function = Deployed("f", "arn", "role", "bootstrap", 5, 128, (), tmp_path, "group", "Text")
    environment = Environment(function, {}, Hasty(), lambda line: None)
    invocation = Invocation(b'"given"', 5)
    try:
        environment.run(invocation)
    finally:
        environment.stop()
    assert answers == [b'"given"']
    assert invocation.answer is not None and invocation.answer.payload == b'"done"'


def test_stopping_the_service_ends_every_process(tmp_path):
    from world.aws.config import Config
    from world.aws.server import AwsEndpoint

    with AwsEndpoint(Config(world=tmp_path)) as endpoint:
        own = Aws(endpoint)
        name = own.function(PID)
        pid = invoke(own, name)[0]
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
