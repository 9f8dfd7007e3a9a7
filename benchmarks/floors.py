"""The least time that a network can take on this device: counted work over measured peaks. `python -m benchmarks.floors`.

Work is counted from a forward: convolutions, matrix products and attention by torch's own counter (a MAC is two of its FLOPs;
Fourier transforms are not in it), and what the leaf modules put out. Peaks are the best that torch reaches here in a matrix product
or a 3x3 convolution, and in a copy of memory; another library's kernels may reach a little more. The floor is the larger of two times:

    floor = max(2 * MACs / peak, 2 * bytes of leaf outputs / bandwidth)

The second is eager mode's, which writes each output once and reads it once: a compiler that fuses modules may go below it, and so may
outputs so small that they stay in the cache.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.networks import MissingError, Network, blank, inputs_of, networks, ready
from restore.runtime.device import select_device

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
COPIED_BYTES = 256 << 20  # more than fits into a cache
_NO_TRAFFIC = (nn.Identity, nn.Dropout, nn.Flatten)

Run = Callable[[], object]


@dataclass(frozen=True)
class Work:
    """What a forward does: multiplications with an addition each, elements that leaf modules put out, parameters of the network."""

    macs: int
    outputs: int
    parameters: int


@dataclass(frozen=True)
class Peaks:
    """The most that torch reaches on a device in one precision: arithmetic (two operations a MAC), and bytes read and written."""

    matmul_gflops: float
    conv_gflops: float
    gb_per_s: float

    @property
    def gflops(self) -> float:
        return max(self.matmul_gflops, self.conv_gflops)


@dataclass(frozen=True)
class Floor:
    """The least time by arithmetic, and by memory."""

    compute_s: float
    memory_s: float

    @property
    def seconds(self) -> float:
        return max(self.compute_s, self.memory_s)

    @property
    def bound_by(self) -> str:
        return "compute" if self.compute_s >= self.memory_s else "memory"


def floor_of(work: Work, peaks: Peaks, element_bytes: int) -> Floor:
    """The floor of a forward whose features take `element_bytes` each."""
    return Floor(
        2 * work.macs / (peaks.gflops * 1e9),
        2 * work.outputs * element_bytes / (peaks.gb_per_s * 1e9),
    )


def count(module: nn.Module, inputs: Sequence[Tensor]) -> Work:
    """The work of one forward, on whatever device module and inputs are; on the meta device nothing is computed."""
    outputs = 0

    def add(leaf: nn.Module, given: object, answer: object) -> None:
        nonlocal outputs
        outputs += sum(tensor.numel() for tensor in tensors_in(answer))

    leaves = [
        leaf
        for leaf in module.modules()
        if not any(leaf.children()) and not isinstance(leaf, _NO_TRAFFIC)
    ]
    # A TorchScript program takes no hooks, so that its floor is by arithmetic alone.
    hooks = [
        leaf.register_forward_hook(add)
        for leaf in leaves
        if not isinstance(leaf, torch.jit.ScriptModule)
    ]
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            module(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return Work(
        counter.get_total_flops() // 2,
        outputs,
        sum(parameter.numel() for parameter in module.parameters()),
    )


def count_network(network: Network) -> Work:
    """The work of a network, on the meta device where it does not look at its data, else by a forward on the CPU.

    Raises:
        MissingError: there is no such network here.
    """
    try:
        return count(blank(network.row), [tensor.to("meta") for tensor in inputs_of(network)])
    except (NotImplementedError, RuntimeError):
        it = ready(network)
        return count(it.module, it.inputs)


def tensors_in(answer: object) -> Iterator[Tensor]:
    """The tensors of a module's answer: itself, or what its tuples, lists and dictionaries hold."""
    if isinstance(answer, Tensor):
        yield answer
    elif isinstance(answer, dict):
        yield from tensors_in(list(answer.values()))
    elif isinstance(answer, list | tuple):
        for part in answer:
            yield from tensors_in(part)


def measure_peaks(device: torch.device, dtype: torch.dtype, seconds: float = 0.5) -> Peaks:
    """The best of a few sizes and layouts, each tried for `seconds`; float32 with all its bits (no TF32).

    Raises:
        RuntimeError: torch has neither products nor convolutions of this precision on this device.
    """
    full_precision()
    cuda = device.type == "cuda"
    with torch.inference_mode():
        products = _best_rate(
            _products((4096, 8192) if cuda else (1024, 2048), device, dtype), device, seconds
        )
        convolutions = _best_rate(
            _convolutions((1, 16) if cuda else (1, 4), device, dtype), device, seconds
        )
        if not products and not convolutions:
            raise RuntimeError(f"{dtype} has no arithmetic on {device}")
        source = torch.ones(COPIED_BYTES, dtype=torch.uint8, device=device)
        target = torch.empty_like(source)
        copies = _best_rate([(2 * COPIED_BYTES, lambda: target.copy_(source))], device, seconds)
    return Peaks(products / 1e9, convolutions / 1e9, copies / 1e9)


def fatal_arithmetic(device: torch.device, dtype: torch.dtype) -> str | None:
    """Why a precision must not be tried on a CPU, asked of another process; None where it may.

    A CPU that names AMX in a system that does not let programs use it ends a process at its first product in bfloat16.
    """
    if device.type != "cpu" or dtype == torch.float32:
        return None
    name = str(dtype)
    program = f"import torch; a = torch.ones(512, 512, dtype={name}); a @ a; torch.conv2d(a[None, None], a[None, None, :3, :3])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    if done.returncode < 0:
        ended = signal.Signals(-done.returncode).name
        return f"{name} arithmetic ends the process here ({ended}); with ONEDNN_MAX_CPU_ISA=AVX512_CORE_FP16 it may not"
    return done.stderr.strip().rpartition("\n")[2][:200] if done.returncode else None


def full_precision() -> None:
    """Float32 means float32, as in the profile `baseline`: TF32 keeps ten bits of 23."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def timed(run: Run, device: torch.device) -> float:
    """Seconds of one call, its kernels' included."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started_s = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started_s


def _products(
    sides: Sequence[int], device: torch.device, dtype: torch.dtype
) -> Iterator[tuple[float, Run]]:
    for side in sides:
        first, second = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
        yield 2.0 * side**3, partial(torch.matmul, first, second)


def _convolutions(
    batches: Sequence[int], device: torch.device, dtype: torch.dtype
) -> Iterator[tuple[float, Run]]:
    """3x3, 64 channels to 64, 256 px: what most of these networks spend their time in."""
    for batch in batches:
        for layout in (torch.contiguous_format, torch.channels_last):
            x, weight = (
                torch.randn(shape, device=device).to(dtype, memory_format=layout)
                for shape in ((batch, 64, 256, 256), (64, 64, 3, 3))
            )
            yield 2.0 * batch * 64 * 64 * 9 * 256**2, partial(F.conv2d, x, weight, padding=1)


def _best_rate(
    ways: Iterator[tuple[float, Run]] | Sequence[tuple[float, Run]],
    device: torch.device,
    seconds: float,
) -> float:
    """The most work a second over all ways; what else runs on a machine can only make a call slower. 0 where none works."""
    best = 0.0
    for work, run in ways:
        try:
            timed(run, device)
            until_s = time.perf_counter() + seconds
            best = max(best, work / timed(run, device))
            while time.perf_counter() < until_s:
                best = max(best, work / timed(run, device))
        except RuntimeError:  # not implemented in this precision
            continue
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--nets",
        default="",
        metavar="A,B",
        help="row ids of weights/manifest.toml, or id@side; all unless named",
    )
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--device", default=None, help="cpu, cuda, ...; CUDA where there is one")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    chosen = networks([name for name in args.nets.split(",") if name])
    torch.set_num_threads(args.threads)
    device, dtype = select_device(args.device), DTYPES[args.dtype]
    if reason := fatal_arithmetic(device, dtype):
        parser.error(reason)
    peaks = measure_peaks(device, dtype)
    print(
        f"{device}, {args.dtype}, {args.threads} threads: matrix product {peaks.matmul_gflops:.0f} GFLOP/s, ",
        end="",
    )
    print(f"3x3 convolution {peaks.conv_gflops:.0f} GFLOP/s, copy {peaks.gb_per_s:.1f} GB/s")
    print(f"{'network':36}{'GMACs':>9}{'Mparams':>9}{'Moutputs':>10}{'floor ms':>11}  bound by")
    for network in chosen:
        try:
            work = count_network(network)
        except MissingError as error:
            print(f"{network.name:36}  skipped: {error}")
            continue
        floor = floor_of(work, peaks, dtype.itemsize)
        counts = f"{work.macs / 1e9:>9.1f}{work.parameters / 1e6:>9.1f}{work.outputs / 1e6:>10.1f}"
        print(
            f"{network.name:36}{counts}{1000 * floor.seconds:>11.2f}  {floor.bound_by}", flush=True
        )


if __name__ == "__main__":
    main()
