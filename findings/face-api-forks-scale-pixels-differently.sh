#!/bin/sh
# face-api.js and its maintained fork scale pixels differently before the same
# tiny face detector.
#
# What is surprising.  @vladmandic/face-api is offered as the continued
# face-api.js, with the same classes, the same layers and a detector file that
# the old package loads unchanged.  Yet from the same pixels the two compute
# different raw outputs.  Both subtract the same mean colour from the pixels;
# then the old package divides by 256 and the fork by 255.  The fork's change
# log (as shipped) names no such change.  Because the mean goes first, multiplying the
# old package's pixels by 256/255 does NOT make them agree; stretching them
# by 256/255 away from the mean does, to rounding.
#
# Whom it hurts.  Anyone who ports the weights from one package's description
# and checks against the other, compares scores between the two, or replicates
# a published face-api pipeline without knowing which of them it used.  Scores
# differ by up to about a hundredth here, so at the default threshold of 0.5
# a borderline face is found by one and missed by the other.  This script
# draws such a picture (its contrast was picked so as to be borderline).
#
# Source.
#   face-api.js 0.22.2: build/commonjs/tinyYolov2/TinyYolov2Base.js,
#     TinyYolov2Base.prototype.forwardInput (256)
#   @vladmandic/face-api 1.7.15: src/tinyYolov2/TinyYolov2Base.ts,
#     TinyYolov2Base.forwardInput (255)
#   The mean is MEAN_RGB in tinyFaceDetector/const of either package, taken off
#   by normalize in ops/normalize.
#   Read, not run: FaceRecognitionNet.forwardInput and TinyXception.forwardInput
#   (age and gender) differ in the same way; FaceFeatureExtractor and
#   TinyFaceFeatureExtractor (landmarks, expressions) divide by 255 in both.
#
# Weights.  The npm tarball of face-api.js ships none, so whether both projects
# publish the same file is not checked here.  The fork's file is loaded into
# both packages, and the parameters are compared after loading.
#
# Versions.  face-api.js 0.22.2 on tfjs-core 1.7.0 (its own dependency),
# @vladmandic/face-api 1.7.15 (its node-wasm build, with the plain CPU backend)
# on tfjs 4.22.0; seen with Node 20.20.2.  Installs about 370 MB in a temporary
# folder; takes about a minute.  Exits non-zero if something is no longer as
# seen.
#
# Output seen:
#   weight files in the tarballs (name, bytes, sha256):
#     face-api.js: none
#     @vladmandic/face-api: tiny_face_detector_model-weights_manifest.json 3219 5d1af4849ac48d5b985f4a9b16010c512353ddd6fcc63d50fd0bc9e9e64296e5
#     @vladmandic/face-api: tiny_face_detector_model.bin 193321 b7503ce7df31039b1c43316a9b865cab6a70dd748cc602d3fa28b551503c3871
#   face-api.js 0.22.2 on tfjs-core 1.7.0 (cpu)
#   @vladmandic/face-api 1.7.15 on tfjs-core 4.22.0 (cpu)
#   output shapes: 1,7,7,25 and 1,7,7,25
#   loaded parameters: 193321 and 193321, largest difference 0.00e+0
#   largest raw output: 46.39
#   top score: old 0.49887, fork 0.50728
#   faces found at threshold 0.5: old 0, fork 1
#   largest difference of raw outputs, old against fork:
#     same pixels:                                8.46e-2 (scores: 8.41e-3)
#     old pixels times 256/255:                   4.79e-2
#     old pixels stretched 256/255 from the mean: 2.10e-5 (scores: 1.79e-7)
#   as seen: both loaded the same parameters
#   as seen: same pixels give different outputs
#   as seen: stretching by 256/255 from the mean explains it
#   as seen: a plain 256/255 factor does not
#   as seen: only the fork finds the borderline face

set -eu

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM
cd "$dir"
npm init -y >/dev/null
npm install --silent --ignore-scripts --no-audit --no-fund \
  face-api.js@0.22.2 \
  @vladmandic/face-api@1.7.15 \
  @tensorflow/tfjs@4.22.0 \
  @tensorflow/tfjs-backend-wasm@4.22.0

echo "weight files in the tarballs (name, bytes, sha256):"
for pkg in face-api.js @vladmandic/face-api; do
  found=$(find "node_modules/$pkg" -type f \
    \( -name '*-shard[0-9]*' -o -name '*_model.bin' -o -name '*weights_manifest.json' \) |
    grep tiny_face_detector | sort || true)
  if [ -z "$found" ]; then
    echo "  $pkg: none"
  else
    echo "$found" | while read -r f; do
      node -e '
        const fs = require("fs"), b = fs.readFileSync(process.argv[1]);
        console.log("  " + process.argv[2] + ": " + require("path").basename(process.argv[1]), b.length,
          require("crypto").createHash("sha256").update(b).digest("hex"));' "$f" "$pkg"
    done
  fi
done

# One process per package: both tfjs-core versions keep their engine in the
# same global variable, so loading the two side by side would mix them.
cat >one.cjs <<'JS'
const fs = require('fs');
const [which, out] = process.argv.slice(2);
const size = 224;
const mean = [117.001, 114.697, 97.404]; // what both subtract before dividing

// A made-up picture, whole numbers 0..255: a gradient with a crude oval face.
function picture() {
  const px = new Float32Array(size * size * 3);
  const inside = (x, y, cx, cy, rx, ry) => ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 < 1;
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      let c = [x, y, (x + y) / 2];
      if (inside(x, y, 112, 112, 45, 60)) c = [225 - Math.abs(x - 112), 180 - Math.abs(x - 112), 150 - Math.abs(x - 112)];
      if (inside(x, y, 94, 98, 9, 5) || inside(x, y, 130, 98, 9, 5)) c = [40, 30, 30];
      if (inside(x, y, 112, 120, 6, 12)) c = [190, 140, 110];
      if (inside(x, y, 112, 144, 17, 5)) c = [150, 50, 60];
      c.forEach((v, k) => { px[(y * size + x) * 3 + k] = Math.round(v); });
    }
  }
  // at 74.5 % contrast the detector is unsure of it
  return px.map((v, i) => Math.round(mean[i % 3] + (v - mean[i % 3]) * 0.745));
}

async function main() {
  const old = which === 'old';
  const faceapi = require(old ? 'face-api.js' : '@vladmandic/face-api/dist/face-api.node-wasm.js');
  const tf = old ? faceapi.tf : require('@tensorflow/tfjs');
  await tf.setBackend('cpu');
  await tf.ready();
  const net = new faceapi.TinyFaceDetector();
  await net.loadFromDisk('node_modules/@vladmandic/face-api/model');
  const run = async (px) => {
    const y = await net.forward(tf.tensor3d(px, [size, size, 3]), size);
    return { shape: y.shape, data: Array.from(await y.data()) };
  };
  const px = picture();
  const r = 256 / 255;
  const res = {
    backend: tf.getBackend(),
    tfjs: old ? tf.version_core : tf.version_core || tf.version['tfjs-core'],
    params: Array.from(net.serializeParams()),
    plain: await run(px),
    faces: (await net.locateFaces(tf.tensor3d(px, [size, size, 3]),
      new faceapi.TinyFaceDetectorOptions({ inputSize: size, scoreThreshold: 0.5 }))).length,
  };
  if (old) {
    res.times = await run(px.map((v) => v * r));
    res.aroundMean = await run(px.map((v, i) => mean[i % 3] + (v - mean[i % 3]) * r));
  }
  fs.writeFileSync(out, JSON.stringify(res));
}
main().catch((e) => { console.error(e); process.exit(1); });
JS
# stderr holds tfjs's advertisement for its native backend; shown on failure
node one.cjs old old.json 2>err || { cat err >&2; exit 1; }
node one.cjs fork fork.json 2>err || { cat err >&2; exit 1; }

cat >compare.cjs <<'JS'
const fs = require('fs');
const a = JSON.parse(fs.readFileSync('old.json'));
const b = JSON.parse(fs.readFileSync('fork.json'));
const version = (p) => JSON.parse(fs.readFileSync(`node_modules/${p}/package.json`)).version;
const diff = (x, y) => {
  if (x.length !== y.length) throw new Error('different lengths');
  return x.reduce((m, v, i) => {
    if (!Number.isFinite(v) || !Number.isFinite(y[i])) throw new Error('not a number');
    return Math.max(m, Math.abs(v - y[i]));
  }, 0);
};
// 5 anchors x (4 box numbers, 1 score) in every cell
const scores = (r) => r.data.filter((_, i) => i % 5 === 4).map((v) => 1 / (1 + Math.exp(-v)));
const f = (v) => v.toExponential(2);
const w = diff(a.params, b.params);
const d0 = diff(a.plain.data, b.plain.data);
const d1 = diff(a.times.data, b.plain.data);
const d2 = diff(a.aroundMean.data, b.plain.data);
const s0 = diff(scores(a.plain), scores(b.plain));
const s2 = diff(scores(a.aroundMean), scores(b.plain));
console.log(`face-api.js ${version('face-api.js')} on tfjs-core ${a.tfjs} (${a.backend})`);
console.log(`@vladmandic/face-api ${version('@vladmandic/face-api')} on tfjs-core ${b.tfjs} (${b.backend})`);
console.log(`output shapes: ${a.plain.shape} and ${b.plain.shape}`);
console.log(`loaded parameters: ${a.params.length} and ${b.params.length}, largest difference ${f(w)}`);
console.log(`largest raw output: ${Math.max(...b.plain.data.map(Math.abs)).toFixed(2)}`);
console.log(`top score: old ${Math.max(...scores(a.plain)).toFixed(5)}, fork ${Math.max(...scores(b.plain)).toFixed(5)}`);
console.log(`faces found at threshold 0.5: old ${a.faces}, fork ${b.faces}`);
console.log('largest difference of raw outputs, old against fork:');
console.log(`  same pixels:                                ${f(d0)} (scores: ${f(s0)})`);
console.log(`  old pixels times 256/255:                   ${f(d1)}`);
console.log(`  old pixels stretched 256/255 from the mean: ${f(d2)} (scores: ${f(s2)})`);
const need = [
  [w === 0, 'both loaded the same parameters'],
  [d0 > 1e-2, 'same pixels give different outputs'],
  [d2 < 1e-3 && d2 < d0 / 100, 'stretching by 256/255 from the mean explains it'],
  [d1 > 100 * d2, 'a plain 256/255 factor does not'],
  [a.faces === 0 && b.faces === 1, 'only the fork finds the borderline face'],
];
for (const [ok, what] of need) console.log(`${ok ? 'as seen' : 'CHANGED'}: ${what}`);
process.exit(need.every(([ok]) => ok) ? 0 : 1);
JS
node compare.cjs
