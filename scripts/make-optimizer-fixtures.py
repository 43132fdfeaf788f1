"""Makes test/fixtures/engine/optimizers.json: weights after eight updates, in float64.

Adafactor: transformers.optimization.Adafactor itself (run with transformers 5.17, torch 2.13). Lion: algorithm 2 of
arXiv 2302.06675. Prodigy: algorithm 4 of arXiv 2306.06101 with the options of prodigyopt, which was not at hand.

    python scripts/make-optimizer-fixtures.py
"""

import json
import math

import torch
import transformers

STEPS = 8
SHAPES = {"matrix": (4, 3), "vector": (3,), "kernel": (2, 3, 2, 2)}


def start():
    """Weights as test/engine/optimizers.test.ts has them: sines, rounded to float32."""
    return {n: torch.sin(torch.arange(math.prod(s), dtype=torch.float64) * 1.3 + len(n)).mul(0.5).float().double().reshape(s) for n, s in SHAPES.items()}


def gradient(name, step):
    shape = SHAPES[name]
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


CASES = [
    ("Lion", lion, dict(lr=0.01, betas=[0.9, 0.99], weight_decay=0.1)),
    ("Adafactor", adafactor, dict()),
    ("Adafactor", adafactor, dict(lr=0.02, relative_step=False, scale_parameter=False, beta1=0.9, weight_decay=0.1)),
    ("Adafactor", adafactor, dict(warmup_init=True, clip_threshold=0.5, decay_rate=-0.5)),
    ("Prodigy", prodigy, dict(d0=1e-3)),
    ("Prodigy", prodigy, dict(d0=1e-3, use_bias_correction=True, weight_decay=0.1, d_coef=4.0, growth_rate=1.3)),
    ("Prodigy", prodigy, dict(lr=0.5, d0=1e-2, decouple=False, weight_decay=0.2, beta3=0.9, d_coef=2.0, safeguard_warmup=True)),
]

cases = []
for name, run, options in CASES:
    values, logs = run(**options)
    cases.append({"type": name, "options": options, "weights": {n: v.flatten().tolist() for n, v in values.items()}, "logs": logs})
source = f"scripts/make-optimizer-fixtures.py, transformers {transformers.__version__}, torch {torch.__version__}"
with open("test/fixtures/engine/optimizers.json", "w") as file:
    json.dump({"source": source, "steps": STEPS, "cases": cases}, file, indent=1)
    file.write("\n")
