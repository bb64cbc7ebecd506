"""Auto Scaling as documented: groups, lifecycle hooks, retention, activities, events.

`model` says what a group is, `decisions` what happens to it (pure: time goes in, effects come out),
`engine` makes the effects real, `operations` is the API.
"""
