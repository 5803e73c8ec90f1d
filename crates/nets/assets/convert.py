"""Converts the MIT packages' weights to safetensors, and writes what the Python originals say of ten pictures.

usage: convert.py FACE_API_PACKAGE OUT [IMAGE...]
  FACE_API_PACKAGE  the unpacked npm package @vladmandic/face-api 1.7.15
  IMAGE             PICTURE.png for each PICTURE: its pixels as our decoder sees them (example decoded_png of imaging),
                    because another JPEG decoder alone moves a box by up to 3 pixels
  needs: pip install facenet-pytorch==2.6.0 torch safetensors pillow
"""
import hashlib, json, math, os, sys
import numpy as np, torch
from safetensors.torch import save_file

package, out, images = sys.argv[1], sys.argv[2], sys.argv[3:]

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

NETS = {
    "mtcnn": mtcnn,
    "landmarks68": lambda: face_api("face_landmark_68_model"),
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
