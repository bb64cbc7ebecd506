"""The local world: everything that Tidegate meets on AWS, played on one machine.

Run as `python -m world` with `infra/local` on PYTHONPATH; infra/local/README.md says what plays what.
"""
