"""What is deployed is what runs: reads a SAM template and makes its resources through the API.

`source` loads and translates (aws-sam-translator does the SAM part), `intrinsics` resolves Ref, Sub
and their kin, `resources*` make each type by the same API calls that CloudFormation would make,
`deploy` puts them in order, updates what exists and deletes what is gone.
"""
