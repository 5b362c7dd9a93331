"""What runs inside a sandbox: standard library only, on any Python from 3.11 on.

    runner     the supervisor: talks to the controller, keeps the clock, kills and wipes
    template   its child: a fork server with numpy and scipy imported; never sees a job's data
    child      the template's child: one program, loaded and called

Only the supervisor is trusted, and only until a program has run: the controller checks every byte.
This folder and `evolve.sandbox.wire` are copied into the sandbox, where ``evolve`` is a namespace
package that holds nothing else.
"""
