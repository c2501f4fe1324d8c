"""What is known of the GPUs at one moment, and how one view follows another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that uses a GPU; `memory_bytes` is None where the driver does not tell."""

    pid: int
    memory_bytes: int | None


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU, or one part of a divided GPU (MIG), at its last reading. What the card or driver cannot tell is None.

    `uuid` names it for good, `index` is the driver's number for people (`0`, or `0:3` for part 3 of it), which may change. `is_up` is
    False where the driver has lost it, `is_listed` where its processes could not be read; `processes` are then those of before.
    """

    uuid: str
    index: str
    is_up: bool
    utilization_percent: float | None = None
    power_watts: float | None = None
    power_limit_watts: float | None = None
    processes: tuple[GpuProcess, ...] = ()
    is_listed: bool = True


@dataclass(frozen=True, slots=True)
class GpuView:
    """All GPUs as last read, at `at` (steady seconds). `is_stale`: the driver has not answered since, so nothing here counts as well."""

    at: float
    gpus: tuple[Gpu, ...]
    is_stale: bool = False


@dataclass(frozen=True, slots=True)
class GpuUse:
    """Which services had which processes on which GPU, by UUID, when the GPU was last up: a lost one names none any more.

    A lost GPU lets go of a service whose processes of then are gone and whose new ones are on others: an operator has moved it.
    """

    services: Mapping[str, Mapping[str, frozenset[int]]] = field(default_factory=dict)

    def after(self, before: GpuView | None, gpus: Sequence[Gpu], pids: Mapping[str, frozenset[int]]) -> "GpuUse":
        """As it stands after a new reading, with the view before it and the pids of each service."""
        former = {gpu.uuid: {process.pid for process in gpu.processes} for gpu in before.gpus if gpu.is_up} if before else {}
        listed = {gpu.uuid: {process.pid for process in gpu.processes} for gpu in gpus if gpu.is_up and gpu.is_listed}
        on_others = frozenset[int]().union(*listed.values())
        now = dict(self.services)
        for gpu in gpus:
            if gpu.uuid in listed:
                now[gpu.uuid] = {service: own & listed[gpu.uuid] for service, own in pids.items() if own & listed[gpu.uuid]}
            elif not gpu.is_up:
                gone = former.get(gpu.uuid, set())  # lost just now: a service whose pids were not known at the last reading was on it too
                on_it = {service: own & gone for service, own in pids.items() if own & gone} | dict(now.get(gpu.uuid, {}))
                own = {service: pids.get(service, frozenset()) for service in on_it}
                now[gpu.uuid] = {name: then for name, then in on_it.items() if own[name] & then or not own[name] & on_others}
        return GpuUse(now)

    def lost_to(self, service: str, gpus: Sequence[Gpu]) -> tuple[str, ...]:
        """The UUIDs of the lost GPUs that the service's processes were on."""
        return tuple(gpu.uuid for gpu in gpus if not gpu.is_up and service in self.services.get(gpu.uuid, ()))


def follow(before: GpuView | None, at: float, gpus: Sequence[Gpu]) -> GpuView:
    """The view after a new reading: a GPU that is lost, or whose processes could not be read, keeps those of the view before."""
    known = {gpu.uuid: gpu.processes for gpu in before.gpus} if before else {}
    is_read = [gpu.is_up and gpu.is_listed for gpu in gpus]
    return GpuView(
        at, tuple(gpu if good else replace(gpu, processes=known.get(gpu.uuid, ())) for gpu, good in zip(gpus, is_read, strict=True))
    )
