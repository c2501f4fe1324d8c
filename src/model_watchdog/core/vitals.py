"""What of a service moves while it leaves a probe waiting: its processor time, and the GPUs that its processes are on.

Progress proves life, but a GPU that looks busy proves little. The driver's utilization says that a kernel was there, not that it got
on: a collective that waits for a rank which has died spins at 100 %, so does a kernel that is stuck, and one that was killed may leave
100 % behind. Power tells them apart, because a spin does next to nothing: V100 at 100 % in a hung collective draw 44 of 250 W
(NVIDIA/nccl#199), others 70 W where work takes several hundred (NVIDIA/nccl#968). So power decides where it can be read, and
utilization decides alone only where it cannot. On small cards (T4, L4) idle clocks alone take two fifths of the limit: there a spin
looks like work, and is restarted only when the patience ends. A change of power is no sign: it falls when a hang begins.
"""

from dataclasses import dataclass

from model_watchdog.core.gpu import Gpu

MOVING_CORES = 0.2
"""From this share of a core on a service that does not answer is working, not hung."""
WORKING_UTILIZATION = 10.0
"""Per cent of the time with a kernel on the GPU. Less is idle, whatever it draws: clocks that are kept high take power too."""
WORKING_POWER = 0.3
"""Of the GPU's limit. Idle with a context takes 10 to 17 % on a large card, a spin 18 to 25 %, generating tokens 35 % and more."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """Seen in the second half of a wait. `cores` is processor time per time, None where it could not be read; `gpus` are the numbers
    of the GPUs that work, None where the service is on some and they could not be read meanwhile."""

    cores: float | None = None
    gpus: tuple[str, ...] | None = ()

    @property
    def processor_moves(self) -> bool:
        return self.cores is not None and self.cores >= MOVING_CORES

    @property
    def is_moving(self) -> bool:
        """Also where its GPUs could not be read: silence of the driver proves nothing against those who work on them."""
        return self.processor_moves or self.gpus is None or bool(self.gpus)

    @property
    def is_complete(self) -> bool:
        """All was looked at: what does not move stands still."""
        return self.cores is not None and self.gpus is not None


def works(gpu: Gpu) -> bool | None:
    """Whether a GPU gets on, as far as one reading tells; None where it tells nothing, as of a part of a divided GPU (MIG).

    Whose work it is cannot be told where several services share it.
    """
    if not gpu.is_up:
        return False
    used = gpu.utilization_percent
    if used is not None and used < WORKING_UTILIZATION:
        return False
    if gpu.power_watts is not None and gpu.power_limit_watts:
        return gpu.power_watts / gpu.power_limit_watts >= WORKING_POWER
    return None if used is None else True
