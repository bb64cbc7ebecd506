"""The AWS endpoint of the local world: one process that answers as AWS does.

What moto answers truly is left to moto (EC2, IAM, SQS, CloudWatch, control planes). What it lacks,
or has only as a shell, is played here: Auto Scaling lifecycles, EventBridge delivery, the
Step Functions interpreter (JSONata), the Lambda service, EKS access, STS identities, IAM decisions,
and the reader that deploys `infra/template.yaml`.

Start it with `python -m world.aws --world DIR --port N --network 127.X.0.0/16`, or in-process with
`world.aws.server.AwsEndpoint`.
"""
