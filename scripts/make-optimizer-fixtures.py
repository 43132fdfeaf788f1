"""Makes test/fixtures/engine/optimizers.json: weights after eight updates, in float64.

Adafactor: transformers.optimization.Adafactor itself (run with transformers 5.17, torch 2.13). Lion: algorithm 2 of
arXiv 2302.06675. Prodigy: algorithm 4 of arXiv 2306.06101 with the options of prodigyopt, which was not at hand.
AdamW8bit: arXiv 2110.02861 with the maps and roundings of bitsandbytes 0.50, in float32. Where bitsandbytes can be
imported, its own optimizer on the CPU must come to the same weights.

    python scripts/make-optimizer-fixtures.py
"""

import json
import math

import torch
import transformers

STEPS = 8
SHAPES = {"matrix": (4, 3), "vector": (3,), "kernel": (2, 3, 2, 2)}
# Blocks of 256: two and a rest, one that is full, a rest alone, and what stays in 32 bits.
BLOCKS = {"table": (26, 20), "vector": (3,), "full": (16, 16), "matrix": (4, 3)}


def start(shapes=SHAPES):
    """Weights as test/engine/optimizers.test.ts has them: sines, rounded to float32."""
    return {n: torch.sin(torch.arange(math.prod(s), dtype=torch.float64) * 1.3 + len(n)).mul(0.5).float().double().reshape(s) for n, s in shapes.items()}


def gradient(name, step):
    shape = {**SHAPES, **BLOCKS}[name]
    i = torch.arange(math.prod(shape), dtype=torch.float64)
    return (torch.sin(i * 1.7 + step * 0.9 + len(name)) * 0.1 + 0.05).float().double().reshape(shape)


def adafactor(**options):
    params = {n: torch.nn.Parameter(v) for n, v in start().items()}
    optimizer = transformers.optimization.Adafactor(params.values(), **options)
    for step in range(STEPS):
        for name, p in params.items():
            p.grad = gradient(name, step)
        optimizer.step()
    return {n: p.detach() for n, p in params.items()}, {}


def lion(lr, betas, weight_decay):
    params, moments = start(), {n: torch.zeros(s, dtype=torch.float64) for n, s in SHAPES.items()}
    for step in range(STEPS):
        for n in SHAPES:
            g, m = gradient(n, step), moments[n]
            c = betas[0] * m + (1 - betas[0]) * g
            params[n] = params[n] - lr * (torch.sign(c) + weight_decay * params[n])
            moments[n] = betas[1] * m + (1 - betas[1]) * g
    return params, {}


def prodigy(lr=1.0, betas=(0.9, 0.999), beta3=None, eps=1e-8, weight_decay=0.0, decouple=True, use_bias_correction=False,
            safeguard_warmup=False, d0=1e-6, d_coef=1.0, growth_rate=None):
    beta1, beta2 = betas
    beta3 = math.sqrt(beta2) if beta3 is None else beta3
    growth = math.inf if growth_rate is None else growth_rate
    x, x0 = start(), start()
    m, v, s = ({n: torch.zeros(sh, dtype=torch.float64) for n, sh in SHAPES.items()} for _ in range(3))
    d = d_max = d0
    r = 0.0
    for k in range(STEPS):
        correction = math.sqrt(1 - beta2 ** (k + 1)) / (1 - beta1 ** (k + 1)) if use_bias_correction else 1.0
        dlr = d * lr * correction
        r *= beta3
        norm = 0.0
        for n in SHAPES:
            g = gradient(n, k)
            if weight_decay and not decouple:
                g = g + weight_decay * x[n]
            r += d / d0 * dlr * float((g * (x0[n] - x[n])).sum())
            m[n] = beta1 * m[n] + d * (1 - beta1) * g
            v[n] = beta2 * v[n] + d * d * (1 - beta2) * g * g
            s[n] = beta3 * s[n] + d / d0 * (d if safeguard_warmup else dlr) * g
            norm += float(s[n].abs().sum())
        d_hat = d_coef * r / norm
        if d == d0:
            d = max(d, d_hat)
        d_max = max(d_max, d_hat)
        d = min(d_max, d * growth)
        for n in SHAPES:
            if weight_decay and decouple:
                x[n] = x[n] - weight_decay * dlr * x[n]
            x[n] = x[n] - dlr * m[n] / (v[n].sqrt() + d * eps)
    return x, {"d": d}


def dynamic_map(signed):
    """7 decades, each with twice the steps of the one below; and 0 and 1."""
    values = [torch.tensor([0.0, 1.0])]
    for decade in range(7):
        edges = torch.linspace(0.1, 1, 2 ** (decade + (0 if signed else 1)) + 1, dtype=torch.float32)
        means = 10 ** (decade - 6) * ((edges[:-1] + edges[1:]) / 2)
        values += [means, -means] if signed else [means]
    return torch.cat(values).sort().values


def pack(x, code):
    """The nearest code of each value, by blocks of 256 with a scale each, and back."""
    flat = torch.nn.functional.pad(x.flatten(), (0, -x.numel() % 256)).reshape(-1, 256)
    absmax = flat.abs().max(dim=1, keepdim=True).values
    scaled = (flat * (1 / absmax.clamp(min=1e-38))).clamp(-1, 1)
    codes = torch.bucketize(scaled, (code[:-1] + code[1:]) / 2)
    return (code[codes] * absmax).flatten()[: x.numel()].reshape(x.shape)


def adamw_8bit(lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2, min_8bit_size=4096):
    x = {n: v.float() for n, v in start(BLOCKS).items()}
    m, v = ({n: torch.zeros(s) for n, s in BLOCKS.items()} for _ in range(2))
    signed, unsigned = dynamic_map(True), dynamic_map(False)
    for step in range(1, STEPS + 1):
        for n in BLOCKS:
            g = gradient(n, step - 1).float()
            m[n] = m[n] * betas[0] + g * (1 - betas[0])
            v[n] = v[n] * betas[1] + g * g * (1 - betas[1])
            denominator = v[n].sqrt() / math.sqrt(1 - betas[1] ** step) + eps
            x[n] = x[n] * (1 - lr * weight_decay) - lr / (1 - betas[0] ** step) * m[n] / denominator
            if x[n].numel() >= min_8bit_size:
                m[n], v[n] = pack(m[n], signed), pack(v[n], unsigned)
    compare_with_bitsandbytes(x, dict(lr=lr, betas=betas, eps=eps, weight_decay=weight_decay, min_8bit_size=min_8bit_size))
    return x, {}


def compare_with_bitsandbytes(weights, options):
    try:
        import bitsandbytes
    except ImportError:
        print("bitsandbytes is not at hand: AdamW8bit is not compared with it")
        return
    params = {n: torch.nn.Parameter(v.float()) for n, v in start(BLOCKS).items()}
    optimizer = bitsandbytes.optim.AdamW8bit(params.values(), **options)
    for step in range(STEPS):
        for n, p in params.items():
            p.grad = gradient(n, step).float()
        optimizer.step()
    for n, p in params.items():
        print(f"AdamW8bit {n}: {float((p.detach() - weights[n]).abs().max()):.1e} from bitsandbytes {bitsandbytes.__version__}")
        assert torch.allclose(p.detach(), weights[n], rtol=0, atol=1e-6)


CASES = [
    ("Lion", lion, dict(lr=0.01, betas=[0.9, 0.99], weight_decay=0.1)),
    ("Adafactor", adafactor, dict()),
    ("Adafactor", adafactor, dict(lr=0.02, relative_step=False, scale_parameter=False, beta1=0.9, weight_decay=0.1)),
    ("Adafactor", adafactor, dict(warmup_init=True, clip_threshold=0.5, decay_rate=-0.5)),
    ("Prodigy", prodigy, dict(d0=1e-3)),
    ("Prodigy", prodigy, dict(d0=1e-3, use_bias_correction=True, weight_decay=0.1, d_coef=4.0, growth_rate=1.3)),
    ("Prodigy", prodigy, dict(lr=0.5, d0=1e-2, decouple=False, weight_decay=0.2, beta3=0.9, d_coef=2.0, safeguard_warmup=True)),
    ("AdamW8bit", adamw_8bit, dict(lr=0.01, min_8bit_size=12)),
    ("AdamW8bit", adamw_8bit, dict(lr=0.02, betas=[0.8, 0.9], eps=1e-6, weight_decay=0.1, min_8bit_size=256)),
]

cases = []
for name, run, options in CASES:
    values, logs = run(**options)
    cases.append({"type": name, "options": options, "shapes": {n: list(v.shape) for n, v in values.items()}, "weights": {n: v.flatten().tolist() for n, v in values.items()}, "logs": logs})
source = f"scripts/make-optimizer-fixtures.py, transformers {transformers.__version__}, torch {torch.__version__}"
with open("test/fixtures/engine/optimizers.json", "w") as file:
    maps = {name: dynamic_map(signed).tolist() for name, signed in [("signed", True), ("unsigned", False)]}
    json.dump({"source": source, "steps": STEPS, "maps": maps, "cases": cases}, file, indent=1)
    file.write("\n")
