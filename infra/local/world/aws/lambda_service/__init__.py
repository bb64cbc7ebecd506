"""The Lambda service: deployed bootstraps behind the real runtime API, one process an invocation.

moto keeps the functions' configurations and code; here they run. `service` finds a warm process or
starts one, `environment` is one process with its own runtime API address, `runtime_api` speaks
https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html, `spawn` starts processes that die
with us, `records` keeps logs, metrics and the list of invocations, `operations` is the Invoke API.
"""
