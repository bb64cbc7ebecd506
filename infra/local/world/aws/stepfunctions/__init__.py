"""Step Functions for JSONata state machines: definitions checked, executions run for real.

moto's interpreter is not used: its JSONata evaluator is a stub, it evaluates Output after Assign, a
failing Output cannot be caught, its retries cannot be stopped, States.ALL catches what it must not.

`jsonata` evaluates, `definition` checks, `interpreter` walks, `flow` has the states that branch,
`tasks` and `sdk` do what Task states ask for, `history` remembers, `executions` and `operations`
are the service.
"""
