"""The deterministic core: no I/O, no clock, no randomness, no third-party import.

The words, one line each:

probe       asks one thing of a service or of the host, and gives an outcome
outcome     what one run of a probe found: good or a failure, how long it took, its samples
sample      one value of one series at one time
series      a metric name with its labels
rule        a condition on a series, for how long, how severe, and what then
alert       a rule on one series over time: inactive, pending, firing
invocation  one life of a unit, from its start to its end
attempt     one restart, from the intent to its proof
incident    from the first sign that a service is bad to the last
breaker     the circuit breaker, which ends restarts that do not help

Times are seconds on the steady clock; the shell turns them into wall time.
"""
