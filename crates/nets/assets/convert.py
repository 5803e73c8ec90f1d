"""Converts the MIT packages' weights to safetensors, and writes what the Python originals say of ten pictures.

usage: convert.py FACE_API_PACKAGE HUMAN_PACKAGE OUT [IMAGE...]
  FACE_API_PACKAGE  the unpacked npm package @vladmandic/face-api 1.7.15
  HUMAN_PACKAGE     the unpacked npm package @vladmandic/human 3.3.6
  IMAGE             PICTURE.png for each PICTURE: its pixels as our decoder sees them (example decoded_png of imaging),
                    because another JPEG decoder alone moves a box by up to 3 pixels
  needs: pip install facenet-pytorch==2.6.0 torch safetensors pillow
"""
import hashlib, json, math, os, re, sys
import numpy as np, torch
from safetensors.torch import save_file

package, human, out, images = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]

def mtcnn():
    import facenet_pytorch
    data = os.path.join(os.path.dirname(facenet_pytorch.__file__), "data")
    weights = {}
    for net in ("pnet", "rnet", "onet"):
        for key, value in torch.load(f"{data}/{net}.pt", weights_only=True).items():
            weights[f"{net}.{key}"] = value.float().contiguous()
    return weights

def face_api(model):
    manifest = json.load(open(f"{package}/model/{model}-weights_manifest.json"))[0]
    raw = b"".join(open(f"{package}/model/{path}", "rb").read() for path in manifest["paths"])
    weights, at = {}, 0
    for entry in manifest["weights"]:
        count, quantum = math.prod(entry["shape"]), entry.get("quantization")
        if quantum:
            values = np.frombuffer(raw, np.uint8, count, at).astype(np.float32) * quantum["scale"] + quantum["min"]
            at += count
        else:
            values = np.frombuffer(raw, np.float32, count, at).copy()
            at += 4 * count
        tensor, name = torch.from_numpy(values.reshape(entry["shape"])), entry["name"].replace("/", ".")
        if name.endswith("depthwise_filter"):
            tensor = tensor.permute(2, 3, 0, 1)  # [channels, 1, 3, 3], groups = channels
        elif tensor.dim() == 4:
            tensor = tensor.permute(3, 2, 0, 1)  # [out, in, k, k]
        elif tensor.dim() == 2:
            tensor = tensor.t()                  # [out, in]
        weights[name] = tensor.float().contiguous()
    assert at == len(raw)
    return weights

def face_identity():
    manifest = json.load(open(f"{human}/models/faceres.json"))["weightsManifest"][0]
    raw = b"".join(open(f"{human}/models/{path}", "rb").read() for path in manifest["paths"])
    weights, at = {}, 0
    for entry in manifest["weights"]:
        count = math.prod(entry["shape"])
        is_half = entry.get("quantization", {}).get("dtype") == "float16"
        values = np.frombuffer(raw, np.float16 if is_half else np.int32, count, at)
        at += count * (2 if is_half else 4)
        tensor, name = torch.from_numpy(values.copy().reshape(entry["shape"])), entry["name"]
        layer = re.match(r"conv(?:_(dw|pw)_(\d+)|1)", name)
        if not layer:
            continue  # age and gender
        key = f"{layer[1]}{layer[2]}" if layer[1] else "conv1"
        if name.endswith("depthwise_kernel"):
            weights[f"{key}.weight"] = tensor.permute(2, 3, 0, 1).contiguous()
        elif tensor.dim() == 4:
            weights[f"{key}.weight"] = tensor.permute(3, 2, 0, 1).contiguous()
        elif name.endswith("batchnorm_1/mul"):
            weights[f"{key}.scale"] = tensor
        elif name.endswith("batchnorm_1/sub"):
            weights[f"{key}.shift"] = tensor
    assert at == len(raw)
    say_of_a_picture({name: tensor.float() for name, tensor in weights.items()})
    return weights

def say_of_a_picture(w):
    """Prints what the test of crates/nets/src/face_identity.rs expects: sums of four quarters of the features."""
    x, y = torch.arange(224).repeat(224), torch.arange(224).repeat_interleave(224)
    maps = torch.stack([(x * 3 + y) % 256, (x + y * 2) % 256, (x * y // 16) % 256]).float().reshape(1, 3, 224, 224)
    shifted = lambda maps, key: (maps + w[f"{key}.shift"].reshape(1, -1, 1, 1)).clamp(0, 6)
    same = lambda maps, stride: torch.nn.functional.pad(maps, (1, 1, 1, 1) if stride == 1 else (0, 1, 0, 1))
    conv = torch.nn.functional.conv2d
    maps = shifted(conv(same(maps, 2), w["conv1.weight"], stride=2), "conv1")
    for n, stride in enumerate((1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1), 1):
        maps = conv(same(maps, stride), w[f"dw{n}.weight"], stride=stride, groups=maps.shape[1])
        maps = shifted(maps * w[f"dw{n}.scale"].reshape(1, -1, 1, 1), f"dw{n}")
        maps = shifted(conv(maps, w[f"pw{n}.weight"]), f"pw{n}")
    print("features of the test's picture:", maps.mean((2, 3)).reshape(4, 256).sum(1).tolist())

NETS = {
    "mtcnn": mtcnn,
    "landmarks68": lambda: face_api("face_landmark_68_model"),
    "face_identity": face_identity,
    "face_expression": lambda: face_api("face_expression_model"),
}
for name, weights in NETS.items():
    path = f"{out}/{name}.safetensors"
    save_file(weights(), path)
    print(hashlib.sha256(open(path, "rb").read()).hexdigest(), os.path.getsize(path), path)

if images:
    import facenet_pytorch
    from PIL import Image
    detector = facenet_pytorch.MTCNN(keep_all=True, thresholds=[0.5, 0.6, 0.7], device="cpu")
    said = {}
    for path in images:
        boxes, scores, points = detector.detect(Image.open(path).convert("RGB"), landmarks=True)
        said[os.path.basename(path).removesuffix(".png")] = [] if boxes is None else [
            {"box": b.tolist(), "score": float(s), "points": p.tolist()} for b, s, p in zip(boxes, scores, points)]
        print(os.path.basename(path))
    json.dump(said, open(f"{out}/mtcnn_goldens.json", "w"), indent=1)
