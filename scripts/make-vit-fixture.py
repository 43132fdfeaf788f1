"""Numbers that test/networks/vit.test.ts compares with: what transformers' ViTModel, Dinov2Model and their processors
compute. Weights are a formula of the tensor's place among the sorted names, so that no file of weights is needed.

    python scripts/make-vit-fixture.py > test/fixtures/networks/vit.json

Written with torch 2.13, transformers 5.17, Pillow 12.
"""
import json

import numpy as np
import torch
from PIL import Image
from transformers import BitImageProcessorPil, Dinov2Config, Dinov2Model, ViTConfig, ViTImageProcessorPil, ViTModel

COMMON = dict(hidden_size=24, num_hidden_layers=2, num_attention_heads=4, image_size=32, patch_size=8)
CASES = {
    "vit": (ViTModel, ViTConfig(**COMMON, intermediate_size=40, qkv_bias=False), (32, 32)),
    "dinov2": (Dinov2Model, Dinov2Config(**COMMON, mlp_ratio=2), (32, 32)),
    "dinov2_interpolated": (Dinov2Model, Dinov2Config(**COMMON, mlp_ratio=2), (48, 24)),
    "dinov2_gated": (Dinov2Model, Dinov2Config(**COMMON, mlp_ratio=2, use_swiglu_ffn=True), (32, 32)),
}


def formula(shape, place, scale):
    size = int(np.prod(shape))
    values = np.sin(0.37 * np.arange(size, dtype=np.float64) + 1.3 * place) * scale
    return values.astype(np.float32).reshape(shape)


def value_of(name, shape, place):
    is_scale = name.endswith("lambda1") or (name.endswith("weight") and len(shape) == 1)
    return formula(shape, place, 0.25) + np.float32(1 if is_scale else 0)


def model_case(cls, config, size):
    model = cls(config, add_pooling_layer=False) if cls is ViTModel else cls(config)
    model = model.eval()
    # Saved names, which did not change with transformers 5, are what files hold.
    import tempfile
    from safetensors.torch import load_file, save_file

    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        stored = load_file(f"{folder}/model.safetensors")
        names = sorted(name for name in stored if not name.endswith("mask_token"))
        values = {n: torch.from_numpy(value_of(n, tuple(stored[n].shape), k)) for k, n in enumerate(names)}
        values.update({n: stored[n] for n in stored if n not in values})
        save_file(values, f"{folder}/model.safetensors", metadata={"format": "pt"})
        model = cls.from_pretrained(folder, **({"add_pooling_layer": False} if cls is ViTModel else {})).eval()
        with open(f"{folder}/config.json") as file:
            written = json.load(file)
    pixels = torch.from_numpy(formula((1, 3, *size), 99, 1.0))
    with torch.no_grad():
        states = model(pixels).last_hidden_state
    return {
        "config": written,
        "names": {n: list(stored[n].shape) for n in names},
        "pixels": list(pixels.shape),
        "class_token": states[0, 0].tolist(),
        "last_patch": states[0, -1].tolist(),
    }


def processor_case(processor, written):
    x, y, c = np.meshgrid(np.arange(41), np.arange(30), np.arange(3))
    picture = Image.fromarray(((7 * x + 13 * y + 40 * c + x * y) % 256).astype(np.uint8))
    pixels = np.asarray(processor(picture, return_tensors="np")["pixel_values"])[0]
    return {"config": written, "side": pixels.shape[-1], "diagonal": [pixels[:, i, i].tolist() for i in range(pixels.shape[-1])]}


VIT = {"feature_extractor_type": "ViTFeatureExtractor", "do_resize": True, "size": 16, "resample": 3, "do_normalize": True, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
BIT = {"image_processor_type": "BitImageProcessor", "do_resize": True, "size": {"shortest_edge": 20}, "resample": 3, "do_center_crop": True, "crop_size": {"height": 16, "width": 16}, "do_normalize": True, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "do_rescale": True, "rescale_factor": 1 / 255, "do_convert_rgb": True}
print(
    json.dumps(
        {
            "models": {name: model_case(*case) for name, case in CASES.items()},
            "processors": {
                "vit": processor_case(ViTImageProcessorPil(size={"height": 16, "width": 16}, resample=3, image_mean=VIT["image_mean"], image_std=VIT["image_std"]), VIT),
                "bit": processor_case(BitImageProcessorPil(size={"shortest_edge": 20}, crop_size={"height": 16, "width": 16}, resample=3, image_mean=BIT["image_mean"], image_std=BIT["image_std"]), BIT),
            },
        }
    )
)
