"""Compute the least time of each network on a device: counted work divided by measured peaks.

    python benchmarks/floors.py --nets codeformer,lama-big

Work is counted in one forward pass: convolutions, matrix products and attention by torch's own
counter (one MAC is two of its FLOPs; Fourier transforms are not counted), and the outputs of the
leaf modules. Peaks are the best rates of torch on this device, in a matrix product, in a 3x3
convolution and in a copy of memory; kernels of other libraries may be slightly faster. The floor is
the larger of two times:

    floor = max(2 * MACs / peak, 2 * bytes of leaf outputs / bandwidth)

The second time is that of eager mode, which writes and reads every output once. A compiler that
fuses modules can go below it, and so can outputs that fit into the cache.
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
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.arguments import comma_separated
from benchmarks.networks import MissingError, Network, blank, inputs_of, networks, ready
from restore.runtime.device import select_device

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
COPIED_BYTES = 256 << 20
"""Size of the copy that measures bandwidth; larger than any cache."""
MAX_REASON_CHARACTERS = 200
PROBE = """import torch
a = torch.ones(512, 512, dtype={dtype})
a @ a
torch.conv2d(a[None, None], a[None, None, :3, :3])"""
_NO_TRAFFIC = (nn.Identity, nn.Dropout, nn.Flatten)

Run = Callable[[], object]


@dataclass(frozen=True)
class Work:
    """Work of a forward pass.

    Attributes:
        macs: multiply-accumulate operations.
        outputs: elements that leaf modules output.
        parameters: parameters of the network.
    """

    macs: int
    outputs: int
    parameters: int


@dataclass(frozen=True)
class Peaks:
    """Best rates of torch on a device in one precision (one MAC is two operations)."""

    matmul_gflops: float
    conv_gflops: float
    gb_per_s: float

    @property
    def gflops(self) -> float:
        """The higher of both arithmetic rates."""
        return max(self.matmul_gflops, self.conv_gflops)


@dataclass(frozen=True)
class Floor:
    """The least time for arithmetic and for memory traffic."""

    compute_s: float
    memory_s: float

    @property
    def seconds(self) -> float:
        """The larger of both times."""
        return max(self.compute_s, self.memory_s)

    @property
    def bound_by(self) -> str:
        """`compute` or `memory`, whichever takes longer."""
        return "compute" if self.compute_s >= self.memory_s else "memory"


def floor_of(work: Work, peaks: Peaks, element_bytes: int) -> Floor:
    """Return the floor of a forward pass with features of `element_bytes` per element."""
    return Floor(
        2 * work.macs / (peaks.gflops * 1e9),
        2 * work.outputs * element_bytes / (peaks.gb_per_s * 1e9),
    )


def count(module: nn.Module, inputs: Sequence[Tensor]) -> Work:
    """Count the work of one forward pass; on the meta device nothing is computed."""
    outputs = 0

    def add(leaf: nn.Module, args: object, output: object) -> None:
        nonlocal outputs
        outputs += sum(tensor.numel() for tensor in tensors_in(output))

    leaves = [
        leaf
        for leaf in module.modules()
        if not any(leaf.children()) and not isinstance(leaf, _NO_TRAFFIC)
    ]
    # A TorchScript program accepts no hooks: its floor is that of arithmetic only.
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
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return Work(counter.get_total_flops() // 2, outputs, parameters)


def count_network(network: Network) -> Work:
    """Count the work of a network on the meta device, or on the CPU if it reads its data.

    Raises:
        MissingError: the network can neither be loaded nor built here.
    """
    try:
        return count(blank(network.row), [tensor.to("meta") for tensor in inputs_of(network)])
    except (NotImplementedError, RuntimeError):
        prepared = ready(network)
        return count(prepared.module, prepared.inputs)


def tensors_in(output: object) -> Iterator[Tensor]:
    """Iterate over the tensors of an output, inside tuples, lists and dictionaries too."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, dict):
        yield from tensors_in(list(output.values()))
    elif isinstance(output, list | tuple):
        for part in output:
            yield from tensors_in(part)


def measure_peaks(device: torch.device, dtype: torch.dtype, seconds: float = 0.5) -> Peaks:
    """Measure the best rates over several sizes and layouts, each for `seconds`; without TF32.

    Raises:
        RuntimeError: torch has no arithmetic of this precision on this device.
    """
    full_precision()
    cuda = device.type == "cuda"
    sides, batches = ((4096, 8192), (1, 16)) if cuda else ((1024, 2048), (1, 4))
    with torch.inference_mode():
        products = _best_rate(_products(sides, device, dtype), device, seconds)
        convolutions = _best_rate(_convolutions(batches, device, dtype), device, seconds)
        if not products and not convolutions:
            raise RuntimeError(f"{dtype} has no arithmetic on {device}")
        source = torch.ones(COPIED_BYTES, dtype=torch.uint8, device=device)
        target = torch.empty_like(source)
        copies = _best_rate([(2 * COPIED_BYTES, lambda: target.copy_(source))], device, seconds)
    return Peaks(products / 1e9, convolutions / 1e9, copies / 1e9)


def fatal_arithmetic(device: torch.device, dtype: torch.dtype) -> str | None:
    """Return why a precision would end this process, as tested in another one; None if it works.

    A CPU that reports AMX on a system that does not permit its use ends a process at its first
    bfloat16 product.
    """
    if device.type != "cpu" or dtype == torch.float32:
        return None
    name = str(dtype)
    command = [sys.executable, "-c", PROBE.format(dtype=name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode < 0:
        ended = signal.Signals(-done.returncode).name
        return f"{name} ends the process ({ended}); try ONEDNN_MAX_CPU_ISA=AVX512_CORE_FP16"
    last_line = done.stderr.strip().rpartition("\n")[2]
    return last_line[:MAX_REASON_CHARACTERS] if done.returncode else None


def full_precision() -> None:
    """Disable TF32, which keeps 10 of 23 bits, as the profile `baseline` does."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def timed(run: Run, device: torch.device) -> float:
    """Return the seconds of one call with its kernels."""
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
    """Yield 3x3 convolutions of 64 channels at 256 px, which dominate most of these networks."""
    for batch in batches:
        for layout in (torch.contiguous_format, torch.channels_last):
            x, weight = (
                torch.randn(shape, device=device).to(dtype, memory_format=layout)
                for shape in ((batch, 64, 256, 256), (64, 64, 3, 3))
            )
            yield 2.0 * batch * 64 * 64 * 9 * 256**2, partial(F.conv2d, x, weight, padding=1)


def _best_rate(
    candidates: Iterator[tuple[float, Run]] | Sequence[tuple[float, Run]],
    device: torch.device,
    seconds: float,
) -> float:
    """Return the most work per second of all candidates; 0 if none is implemented.

    The best of many calls is used, because other processes can only make a call slower.
    """
    best = 0.0
    for work, run in candidates:
        try:
            timed(run, device)
            until_s = time.perf_counter() + seconds
            best = max(best, work / timed(run, device))
            while time.perf_counter() < until_s:
                best = max(best, work / timed(run, device))
        except RuntimeError:  # not implemented in this precision
            continue
    return best


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--nets",
        type=comma_separated,
        default=(),
        metavar="A,B",
        help="ids of rows in weights/manifest.toml, or id@side (default: all)",
    )
    parser.add_argument("--dtype", choices=DTYPES, default="float32")
    parser.add_argument("--device", default=None, help="cpu, cuda, ... (default: CUDA if present)")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args(arguments)
    chosen = networks(options.nets)
    torch.set_num_threads(options.threads)
    device, dtype = select_device(options.device), DTYPES[options.dtype]
    if reason := fatal_arithmetic(device, dtype):
        parser.error(reason)
    peaks = measure_peaks(device, dtype)
    print(
        f"{device}, {options.dtype}, {options.threads} threads: "
        f"matrix product {peaks.matmul_gflops:.0f} GFLOP/s, "
        f"3x3 convolution {peaks.conv_gflops:.0f} GFLOP/s, copy {peaks.gb_per_s:.1f} GB/s"
    )
    print(f"{'network':36}{'GMACs':>9}{'Mparams':>9}{'Moutputs':>10}{'floor ms':>11}  bound by")
    for network in chosen:
        print(_line(network, peaks, dtype), flush=True)


def _line(network: Network, peaks: Peaks, dtype: torch.dtype) -> str:
    try:
        work = count_network(network)
    except MissingError as error:
        return f"{network.name:36}  skipped: {error}"
    floor = floor_of(work, peaks, dtype.itemsize)
    counts = f"{work.macs / 1e9:>9.1f}{work.parameters / 1e6:>9.1f}{work.outputs / 1e6:>10.1f}"
    return f"{network.name:36}{counts}{1000 * floor.seconds:>11.2f}  {floor.bound_by}"


if __name__ == "__main__":
    main()
