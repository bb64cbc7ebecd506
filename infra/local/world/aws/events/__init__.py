"""EventBridge: rules of moto, delivery of ours.

`bus` takes events in and finds the rules, `transform` makes each target's input, `delivery` calls
targets and fills dead-letter queues, `faults` holds back, drops or doubles on request of a test,
`schedules` fires rate() and at().
"""
