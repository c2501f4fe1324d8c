"""The newest view of the GPUs, shared by all who need to know which service works on which GPU."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from model_watchdog.core.gpu import Gpu, GpuProcess, GpuUse, GpuView, follow

GPU_LOST = "gpu-lost"
"""The rule by whose name restarts are forbidden for the services whose processes were on a lost GPU."""


class GpuHolder:
    """Holds the view that the last reading of the probe `nvml` gave; `view` is None before the first."""

    def __init__(self) -> None:
        self.view: GpuView | None = None
        self.use = GpuUse()

    def take(self, at: float, gpus: Sequence[Gpu], pids: Mapping[str, frozenset[int]]) -> None:
        """A new reading, at `at` (steady seconds), with the pids of each service at this moment."""
        self.use = self.use.after(self.view, gpus, pids)
        self.view = follow(self.view, at, gpus)

    def remember(self, boot: str) -> str:
        """What a daemon started later must know, until the host boots again: which GPUs there are, and who worked on them."""
        gpus = [[gpu.uuid, gpu.index, gpu.is_up] for gpu in self.view.gpus] if self.view else []
        return json.dumps([boot, gpus, {uuid: _list_sorted(services) for uuid, services in self.use.services.items()}])

    def recall(self, text: str, boot: str, at: float) -> None:
        """What `remember` gave, where it is of this boot; the view is stale until the first reading. Raises ValueError and TypeError."""
        before, gpus, use = json.loads(text)
        if before == boot:
            known = {uuid: {name: frozenset(map(int, pids)) for name, pids in services.items()} for uuid, services in use.items()}
            self.use = GpuUse(known)
            self.view = GpuView(
                at,
                tuple(Gpu(str(uuid), str(index), bool(is_up), processes=_to_processes(known.get(uuid, {}))) for uuid, index, is_up in gpus),
                is_stale=True,
            )

    def turn_stale(self) -> None:
        """The driver did not answer: what is known is old from now on."""
        if self.view is not None:
            self.view = replace(self.view, is_stale=True)

    def of(self, pids: Collection[int]) -> tuple[Gpu, ...]:
        """The GPUs that these processes work on."""
        wanted = frozenset(pids)
        gpus = self.view.gpus if self.view else ()
        return tuple(gpu for gpu in gpus if any(process.pid in wanted for process in gpu.processes))

    def inhibits(self, service: str) -> str:
        """The rule that forbids restarts of this service because a GPU that it worked on is lost, or nothing."""
        return GPU_LOST if self.view and self.use.lost_to(service, self.view.gpus) else ""


def _list_sorted(services: Mapping[str, frozenset[int]]) -> dict[str, list[int]]:
    return {name: sorted(pids) for name, pids in sorted(services.items())}


def _to_processes(services: Mapping[str, frozenset[int]]) -> tuple[GpuProcess, ...]:
    """Those of the services under watch; how much memory each had is not remembered."""
    return tuple(GpuProcess(pid, None) for pid in sorted(frozenset[int]().union(*services.values())))
