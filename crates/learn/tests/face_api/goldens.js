// What does face-api itself say of the pictures beside this script? Writes goldens.json.
//
// usage: node goldens.js FACE_API_PACKAGE
//   FACE_API_PACKAGE  the unpacked npm package @vladmandic/face-api 1.7.15
//   needs: npm install @tensorflow/tfjs@4.22.0 pngjs (where node finds them, such as NODE_PATH)
// Most pictures are 112 by 112, the size that the network takes, so that no resizing has a part in the comparison: faces that
// affectory-synthetic draws (three of docs/synthetic.png, blurred a little, so that the network is in two minds), and crops
// of the photograph in crates/affectory/assets, one sharp and two blurred. Two (small-*) are 48 by 48, which face-api resizes.
const fs = require("fs"), path = require("path"), { PNG } = require("pngjs");
const root = path.resolve(process.argv[2]);
// face-api's build for node with a runtime of one's own choice: plain JavaScript, no native code.
const Module = require("module"), resolve = Module._resolveFilename;
Module._resolveFilename = (name, ...rest) => resolve(name.replace(/^@tensorflow\/tfjs(-node)?$/, "@tensorflow/tfjs"), ...rest);
const tf = require("@tensorflow/tfjs");
const faceapi = require(path.join(root, "dist/face-api.node.js"));

(async () => {
  await tf.setBackend("cpu");
  const net = new faceapi.FaceExpressionNet();
  const manifest = JSON.parse(fs.readFileSync(`${root}/model/face_expression_model-weights_manifest.json`));
  const raw = fs.readFileSync(`${root}/model/face_expression_model.bin`);
  const bytes = raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength);
  net.loadFromWeightMap(tf.io.decodeWeights(bytes, manifest[0].weights));
  const said = {};
  for (const file of fs.readdirSync(__dirname).filter((name) => name.endsWith(".png")).sort()) {
    const { width, height, data } = PNG.sync.read(fs.readFileSync(path.join(__dirname, file)));
    const rgb = Int32Array.from({ length: width * height * 3 }, (_, at) => data[Math.floor(at / 3) * 4 + (at % 3)]);
    const found = await net.predictExpressions(tf.tensor3d(rgb, [height, width, 3], "int32"));
    said[file] = Object.fromEntries(Object.entries(found).map(([label, p]) => [label, Number(p.toFixed(7))]));
  }
  fs.writeFileSync(path.join(__dirname, "goldens.json"), JSON.stringify(said, null, 1) + "\n");
  console.log(JSON.stringify(said, null, 1));
})();
