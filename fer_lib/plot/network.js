// The network in the reader's browser: forward pass, projections and class scores, in a worker or in the page itself.
//
// Why no ready runtime: the well-kept ones weigh more than ten megabytes, want their WebAssembly from a server, which a page opened
// from a folder has not, and know no way back through the layers. What this network needs is one inner loop. It is written below as
// WebAssembly with vector instructions, byte by byte (`assemble`), so that the script is all there is: nothing to compile, nothing
// to fetch. Where a browser refuses it, `plainTile` does the same in JavaScript, some five times slower.
//
// Activations lie pixel by pixel with their maps side by side. So what a kernel's row sees is one run of numbers in memory, and a
// convolution is a product of matrices without any copying. Each value is summed in one order wherever it lies in its map: equal
// places of a picture stay equal to the last bit, and of equal values a pool takes the first, as PyTorch does.
(function (scope) {
  "use strict";
  const TILE = 4; // pixels of a tile
  const PANEL = 8; // maps of a tile: two vectors

  // ---------------------------------------------------------------------------------------------- the inner loop

  // tile(a, step, pitch, b, bias, c, next, columns, rows): for TILE pixels, of which the first one's window begins at address a and
  // each next one's `step` bytes later, and for PANEL maps: c = max(0, bias + window * b). A window has `rows` rows of `columns`
  // times `unroll` numbers, `pitch` bytes apart. All addresses in bytes; `next` is the distance of two pixels in c.
  function assemble(unroll) {
    const leb = (value) => {
      const out = [];
      do {
        const low = value & 127;
        value >>>= 7;
        out.push(value ? low | 128 : low);
      } while (value);
      return out;
    };
    const get = (i) => [0x20, ...leb(i)], set = (i) => [0x21, ...leb(i)], tee = (i) => [0x22, ...leb(i)];
    const simd = (code) => [0xfd, ...leb(code)];
    const at = (align, offset) => [align, ...leb(offset)];
    const load = (offset) => [...simd(0x00), ...at(2, offset)], splat = (offset) => [...simd(0x09), ...at(2, offset)];
    const store = (offset) => [...simd(0x0b), ...at(2, offset)];
    const ADD = simd(0xe4), MUL = simd(0xe6), MAX = simd(0xe9), ZERO = [...simd(0x0c), ...new Array(16).fill(0)];
    const IADD = [0x6a], constant = (value) => [0x41, ...leb(value)];
    const [A, STEP, PITCH, B, BIAS, C, NEXT, COLUMNS, ROWS] = [0, 1, 2, 3, 4, 5, 6, 7, 8];
    const COUNT = 9, pointer = (r) => 10 + r, B0 = 10 + TILE, B1 = B0 + 1, X = B0 + 2, sum = (r, v) => B0 + 3 + 2 * r + v;
    const body = [];
    const add = (...parts) => parts.forEach((part) => body.push(...part));
    for (let r = 0; r < TILE; r += 1) for (let v = 0; v < 2; v += 1) add(get(BIAS), load(16 * v), set(sum(r, v)));
    add([0x03, 0x40]); // for each row of the window
    for (let r = 0; r < TILE; r += 1) add(r ? [...get(pointer(r - 1)), ...get(STEP), ...IADD] : get(A), set(pointer(r)));
    add(get(COLUMNS), set(COUNT), [0x03, 0x40]); // for each run of numbers in it
    for (let u = 0; u < unroll; u += 1) {
      add(get(B), load(32 * u), set(B0), get(B), load(32 * u + 16), set(B1));
      for (let r = 0; r < TILE; r += 1) {
        add(get(pointer(r)), splat(4 * u), tee(X), get(B0), MUL, get(sum(r, 0)), ADD, set(sum(r, 0)));
        add(get(X), get(B1), MUL, get(sum(r, 1)), ADD, set(sum(r, 1)));
      }
    }
    for (let r = 0; r < TILE; r += 1) add(get(pointer(r)), constant(4 * unroll), IADD, set(pointer(r)));
    // 32 * unroll as a signed LEB needs a spare bit, which two bytes have up to 8191.
    const stride = 32 * unroll;
    add(get(B), [0x41, (stride & 127) | 128, stride >> 7], IADD, set(B));
    add(get(COUNT), constant(1), [0x6b], tee(COUNT), [0x0d, 0x00, 0x0b]);
    add(get(A), get(PITCH), IADD, set(A), get(ROWS), constant(1), [0x6b], tee(ROWS), [0x0d, 0x00, 0x0b]);
    for (let r = 0; r < TILE; r += 1) {
      for (let v = 0; v < 2; v += 1) add(get(C), get(sum(r, v)), ZERO, MAX, store(16 * v));
      add(get(C), get(NEXT), IADD, set(C));
    }
    add([0x0b]);
    const locals = [2, ...leb(1 + TILE), 0x7f, ...leb(3 + 2 * TILE), 0x7b];
    const code = [...locals, ...body];
    const section = (id, content) => [id, ...leb(content.length), ...content];
    return new Uint8Array([
      0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
      ...section(1, [1, 0x60, 9, ...new Array(9).fill(0x7f), 0]), // one type: nine whole numbers to nothing
      ...section(2, [1, 1, 0x6d, 1, 0x6d, 2, 0, 1]), // the memory is given as m.m
      ...section(3, [1, 0]),
      ...section(7, [1, 1, 0x74, 0, 0]), // t is the function
      ...section(10, [1, ...leb(code.length), ...code]),
    ]);
  }

  function plainTile(floats, unroll) {
    const sums = new Float64Array(PANEL);
    return (a, step, pitch, b, bias, c, next, columns, rows) => {
      const run = columns * unroll;
      for (let r = 0; r < TILE; r += 1) {
        for (let v = 0; v < PANEL; v += 1) sums[v] = floats[(bias >> 2) + v];
        let w = b >> 2;
        for (let y = 0; y < rows; y += 1) {
          let [s0, s1, s2, s3, s4, s5, s6, s7] = sums;
          for (let i = (a + r * step + y * pitch) >> 2, end = i + run; i < end; i += 1, w += PANEL) {
            const x = floats[i];
            s0 += x * floats[w]; s1 += x * floats[w + 1]; s2 += x * floats[w + 2]; s3 += x * floats[w + 3];
            s4 += x * floats[w + 4]; s5 += x * floats[w + 5]; s6 += x * floats[w + 6]; s7 += x * floats[w + 7];
          }
          sums[0] = s0; sums[1] = s1; sums[2] = s2; sums[3] = s3; sums[4] = s4; sums[5] = s5; sums[6] = s6; sums[7] = s7;
        }
        for (let v = 0; v < PANEL; v += 1) floats[((c + r * next) >> 2) + v] = Math.max(0, sums[v]);
      }
    };
  }

  // ---------------------------------------------------------------------------------------------- numbers

  // Half precision (IEEE 754 binary16) as numbers of single precision, which hold each of them exactly.
  function halves(bytes) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength), out = new Float32Array(bytes.byteLength >> 1);
    for (let i = 0; i < out.length; i += 1) {
      const half = view.getUint16(2 * i, true), exponent = (half >> 10) & 31, part = half & 1023;
      const size = exponent ? (1 + part / 1024) * 2 ** (exponent - 15) : part * 2 ** -24;
      out[i] = half & 0x8000 ? -size : size;
    }
    return out;
  }

  // ---------------------------------------------------------------------------------------------- from a face to the input

  // Weights of a resize along one axis: triangles as wide as what one new pixel covers, as Pillow's and torchvision's bilinear
  // filter with antialiasing.
  function triangle(from, to) {
    const scale = from / to, support = Math.max(scale, 1), found = [];
    for (let i = 0; i < to; i += 1) {
      const centre = scale * (i + 0.5);
      const first = Math.max(Math.trunc(centre - support + 0.5), 0), end = Math.min(Math.trunc(centre + support + 0.5), from);
      const weights = [];
      for (let j = first; j < end; j += 1) weights.push(Math.max(0, 1 - Math.abs((j - centre + 0.5) / support)));
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      found.push({ first, weights: weights.map((weight) => weight / total) });
    }
    return found;
  }

  function resize(pixels, width, height, side) {
    const across = triangle(width, side), down = triangle(height, side);
    const half = new Float32Array(height * side), out = new Float32Array(side * side);
    for (let y = 0; y < height; y += 1) {
      for (let x = 0; x < side; x += 1) {
        let sum = 0;
        across[x].weights.forEach((weight, j) => { sum += weight * pixels[y * width + across[x].first + j]; });
        half[y * side + x] = sum;
      }
    }
    for (let y = 0; y < side; y += 1) {
      for (let x = 0; x < side; x += 1) {
        let sum = 0;
        down[y].weights.forEach((weight, j) => { sum += weight * half[(down[y].first + j) * side + x]; });
        out[y * side + x] = sum;
      }
    }
    return out;
  }

  // Resize, cut the centre and standardise, as `fer_lib.faces.preprocess.Evaluate`.
  function prepare(pixels, width, height, resized, side) {
    const whole = resize(pixels, width, height, resized), margin = Math.floor((resized - side) / 2);
    const input = new Float32Array(side * side);
    for (let y = 0; y < side; y += 1) {
      input.set(whole.subarray((y + margin) * resized + margin, (y + margin) * resized + margin + side), y * side);
    }
    const cut = input.slice(), mean = input.reduce((sum, x) => sum + x, 0) / input.length;
    const deviation = Math.sqrt(input.reduce((sum, x) => sum + (x - mean) ** 2, 0) / input.length);
    for (let i = 0; i < input.length; i += 1) input[i] = deviation > 1e-3 ? (input[i] - mean) / deviation : 0;
    return { whole, cut, input };
  }

  // ---------------------------------------------------------------------------------------------- the network

  // Geometry as `fer_lib.plot.network_page` writes it: {side, resize, channels, blocks: [{name, maps, kernel, padding, pool}],
  // hidden, classes}; every block is a convolution, a rectifier and a pool. `weights`: of each block (maps, rows, columns, channels),
  // then its biases, in half precision.
  class Network {
    constructor(geometry, weights, plain) {
      this.geometry = geometry;
      const all = halves(weights);
      let taken = 0, top = 16; // bytes of memory that are given out
      const place = (count) => { const here = top; top += 4 * Math.ceil(count / 4) * 4; return here; };
      let channels = geometry.channels, side = geometry.side;
      this.layers = geometry.blocks.map((block) => {
        const { kernel, padding, maps, pool } = block;
        const size = kernel * kernel * channels, out = side + 2 * padding - kernel + 1, panels = Math.ceil(maps / PANEL);
        const weight = all.subarray(taken, taken + maps * size), bias = all.subarray(taken + maps * size, taken + maps * (size + 1));
        taken += maps * (size + 1);
        // Lines are long enough for one tile, so that narrow maps need no case of their own.
        const pitch = Math.max(side + 2 * padding, TILE + kernel - 1);
        const layer = {
          ...block, channels, inSide: side, side: out, pooled: Math.floor(out / pool), pitch, panels, weight, bias, size,
          line: Math.max(out, TILE), width: panels * PANEL,
          input: place((side + 2 * padding) * pitch * channels + TILE * channels),
          packed: place(panels * PANEL * size), biases: place(panels * PANEL),
        };
        layer.output = place(out * layer.line * layer.width);
        layer.switches = new Uint8Array(layer.pooled ** 2 * maps);
        channels = maps;
        side = layer.pooled;
        return layer;
      });
      if (taken !== all.length) throw new Error("the weights are " + all.length + " numbers; the network has " + taken);
      this.last = { side, maps: channels, values: new Float32Array(side * side * channels) };
      const kernels = new Set(geometry.blocks.map((block) => block.kernel));
      const unroll = kernels.size === 1 ? geometry.blocks[0].kernel : 1;
      const bytes = plain || typeof WebAssembly !== "object" ? null : assemble(unroll);
      let tile = null, buffer;
      if (bytes && WebAssembly.validate(bytes)) {
        const memory = new WebAssembly.Memory({ initial: Math.ceil(top / 65536) });
        buffer = memory.buffer;
        tile = new WebAssembly.Instance(new WebAssembly.Module(bytes), { m: { m: memory } }).exports.t;
      } else buffer = new ArrayBuffer(top);
      this.floats = new Float32Array(buffer);
      this.fast = tile !== null;
      this.tile = tile || plainTile(this.floats, unroll);
      this.unroll = unroll;
      for (const layer of this.layers) {
        this.floats.set(layer.bias, layer.biases >> 2);
        for (let map = 0; map < layer.maps; map += 1) {
          const to = (layer.packed >> 2) + (map - map % PANEL) * layer.size + map % PANEL, from = map * layer.size;
          for (let i = 0; i < layer.size; i += 1) this.floats[to + i * PANEL] = layer.weight[from + i];
        }
      }
    }

    // All maps of all layers on an input (side, side, channels).
    run(input) {
      const { floats } = this;
      let values = input, width = this.geometry.channels;
      for (const layer of this.layers) {
        const { inSide, padding, pitch, channels } = layer, start = layer.input >> 2;
        for (let y = 0; y < inSide; y += 1) {
          const line = values.subarray(y * inSide * width, (y + 1) * inSide * width);
          floats.set(line, start + ((y + padding) * pitch + padding) * channels);
        }
        this.convolve(layer);
        values = this.pool(layer);
        width = layer.maps;
      }
      this.last.values = values;
    }

    convolve(layer) {
      const { channels, kernel, side, pitch, line, width, panels, size } = layer, step = 4 * channels;
      const last = Math.max(side - TILE, 0), columns = (kernel * channels) / this.unroll;
      for (let panel = 0; panel < panels; panel += 1) {
        const b = layer.packed + 4 * PANEL * size * panel, bias = layer.biases + 4 * PANEL * panel;
        for (let y = 0; y < side; y += 1) {
          for (let at = 0; at < side; at += TILE) {
            // The last tile goes back to the edge and computes some pixels twice, to the same bit.
            const x = Math.min(at, last);
            this.tile(layer.input + step * (y * pitch + x), step, step * pitch, b, bias,
              layer.output + 4 * ((y * line + x) * width + PANEL * panel), 4 * width, columns, kernel);
          }
        }
      }
    }

    pool(layer) {
      const { pooled, pool, maps, line, width, switches } = layer, { floats } = this, start = layer.output >> 2;
      const values = new Float32Array(pooled * pooled * maps);
      for (let y = 0; y < pooled; y += 1) {
        for (let x = 0; x < pooled; x += 1) {
          const to = (y * pooled + x) * maps;
          for (let place = 0; place < pool * pool; place += 1) {
            const from = start + ((y * pool + Math.floor(place / pool)) * line + x * pool + place % pool) * width;
            if (place === 0) {
              values.set(floats.subarray(from, from + maps), to);
              switches.fill(0, to, to + maps);
            } else {
              for (let map = 0; map < maps; map += 1) {
                const value = floats[from + map];
                if (value > values[to + map]) { values[to + map] = value; switches[to + map] = place; }
              }
            }
          }
        }
      }
      return values;
    }

    // The maps of a layer one after the other: (maps, side, side).
    maps(index) {
      const { maps, side, line, width, output } = this.layers[index], out = new Float32Array(maps * side * side);
      for (let y = 0; y < side; y += 1) {
        for (let x = 0; x < side; x += 1) {
          const from = (output >> 2) + (y * line + x) * width;
          for (let map = 0; map < maps; map += 1) out[(map * side + y) * side + x] = this.floats[from + map];
        }
      }
      return out;
    }

    value(index, map, row, column) {
      const layer = this.layers[index];
      return this.floats[(layer.output >> 2) + (row * layer.line + column) * layer.width + map];
    }

    // What a unit used of the pixels it sees, by one of the rules of `fer_lib.probe.deconv`: a patch (size, size, channels) that
    // begins at row `top` and column `left` of the picture, possibly outside.
    project(index, map, row, column, rule) {
      const value = this.value(index, map, row, column);
      let signal = new Float32Array(this.layers[index].maps), size = 1, top = row, left = column;
      signal[map] = value;
      for (let i = index; i >= 0; i -= 1) {
        const layer = this.layers[i];
        if (i < index) {
          signal = this.unpool(layer, signal, size, top, left, rule);
          size *= layer.pool;
          top *= layer.pool;
          left *= layer.pool;
        }
        signal = this.transposed(layer, signal, size);
        size += layer.kernel - 1;
        top -= layer.padding;
        left -= layer.padding;
        // What lies beyond the frame is padding, whose signal ends there.
        if (layer.padding) {
          for (let y = 0; y < size; y += 1) {
            for (let x = 0; x < size; x += 1) {
              const inside = y + top >= 0 && y + top < layer.inSide && x + left >= 0 && x + left < layer.inSide;
              if (!inside) signal.fill(0, (y * size + x) * layer.channels, (y * size + x + 1) * layer.channels);
            }
          }
        }
      }
      return { value, top, left, size, patch: signal };
    }

    // Back through the pool behind a convolution, to where each maximum came from, and through the rectifier by the rule.
    unpool(layer, signal, size, top, left, rule) {
      const { pooled, pool, maps, line, width, switches } = layer, start = layer.output >> 2;
      const below = new Float32Array((size * pool) ** 2 * maps);
      for (let y = Math.max(0, -top); y < Math.min(size, pooled - top); y += 1) {
        for (let x = Math.max(0, -left); x < Math.min(size, pooled - left); x += 1) {
          for (let map = 0; map < maps; map += 1) {
            const g = signal[(y * size + x) * maps + map];
            if (g === 0 || (g < 0 && rule !== "gradient")) continue;
            const place = switches[((y + top) * pooled + x + left) * maps + map];
            const down = Math.floor(place / pool), right = place % pool;
            if (rule !== "deconvnet") {
              const from = start + (((y + top) * pool + down) * line + (x + left) * pool + right) * width;
              if (!(this.floats[from + map] > 0)) continue;
            }
            below[((y * pool + down) * size * pool + x * pool + right) * maps + map] = g;
          }
        }
      }
      return below;
    }

    // The transposed convolution, without bias.
    transposed(layer, signal, size) {
      const { maps, channels, kernel, weight } = layer, wide = size + kernel - 1, run = kernel * channels;
      const out = new Float32Array(wide * wide * channels);
      for (let y = 0; y < size; y += 1) {
        for (let x = 0; x < size; x += 1) {
          for (let map = 0; map < maps; map += 1) {
            const g = signal[(y * size + x) * maps + map];
            if (g === 0) continue;
            for (let down = 0; down < kernel; down += 1) {
              const to = ((y + down) * wide + x) * channels, from = map * layer.size + down * run;
              for (let i = 0; i < run; i += 1) out[to + i] += g * weight[from + i];
            }
          }
        }
      }
      return out;
    }

    // The two linear layers: `steps` (hidden,) float32, biases (hidden,), weights (classes, hidden), biases (classes,), then the
    // hidden layer's weights (hidden, maps * side * side) as whole numbers of these steps.
    readLinear(bytes) {
      const { hidden, classes } = this.geometry, inputs = this.last.values.length;
      const sizes = [hidden, hidden, classes * hidden, classes], floats = 4 * sizes.reduce((sum, size) => sum + size, 0);
      if (bytes.byteLength !== floats + hidden * inputs) throw new Error("the linear layers have the wrong size");
      const whole = new Float32Array(bytes.slice(0, floats).buffer), parts = [];
      let at = 0;
      for (const size of sizes) { parts.push(whole.subarray(at, at + size)); at += size; }
      const [steps, biases, weights, offsets] = parts;
      this.linear = { steps, biases, weights, offsets, hidden: new Int8Array(bytes.buffer, bytes.byteOffset + floats) };
    }

    // Class scores, before the softmax, of the last run.
    scores() {
      const { steps, biases, weights, offsets, hidden } = this.linear, ordered = this.flat(), inputs = ordered.length;
      const on = new Float32Array(steps.length);
      for (let unit = 0; unit < on.length; unit += 1) {
        let sum = 0;
        for (let i = 0, w = unit * inputs; i < inputs; i += 1, w += 1) sum += ordered[i] * hidden[w];
        on[unit] = Math.max(0, sum * steps[unit] + biases[unit]);
      }
      this.on = on;
      return Float32Array.from(offsets, (offset, c) => on.reduce((sum, x, i) => sum + x * weights[c * on.length + i], offset));
    }

    // The last maps one after the other, as the hidden layer sees them.
    flat() {
      const { maps, side, values } = this.last, area = side * side, ordered = new Float32Array(values.length);
      for (let i = 0; i < area; i += 1) for (let map = 0; map < maps; map += 1) ordered[map * area + i] = values[i * maps + map];
      return ordered;
    }

    // What each of the last maps adds to the score of a class, after `scores`. It is exact: hidden units that are on are linear, so that
    // these parts and what the biases add are the score.
    parts(c) {
      const { steps, weights, hidden } = this.linear, ordered = this.flat(), inputs = ordered.length, pull = new Float64Array(inputs);
      this.on.forEach((value, unit) => {
        if (!(value > 0)) return;
        const weight = weights[c * steps.length + unit] * steps[unit];
        for (let i = 0, w = unit * inputs; i < inputs; i += 1, w += 1) pull[i] += weight * hidden[w];
      });
      const area = this.last.side ** 2, parts = new Float32Array(this.last.maps);
      for (let i = 0; i < inputs; i += 1) parts[Math.floor(i / area)] += ordered[i] * pull[i];
      return parts;
    }
  }

  scope.FerNetwork = { Network, prepare, resize };

  // ---------------------------------------------------------------------------------------------- in a worker

  function answerer() {
    let network = null;
    const now = () => performance.now();
    const tasks = {
      load: ({ geometry, weights, plain }) => {
        network = new Network(geometry, weights, plain);
        return { fast: network.fast };
      },
      face: ({ pixels, width, height }) => {
        const { side, resize: resized } = network.geometry, start = now();
        const steps = prepare(pixels, width, height, resized, side);
        network.run(steps.input);
        return { ...steps, maps: network.layers.map((_, i) => network.maps(i)), took: now() - start };
      },
      project: ({ layer, map, row, column, rule }) => {
        const start = now();
        return { ...network.project(layer, map, row, column, rule), took: now() - start };
      },
      linear: ({ bytes }) => { network.readLinear(bytes); return {}; },
      scores: () => {
        const start = now();
        return { scores: network.scores(), took: now() - start };
      },
      parts: ({ expression }) => ({ parts: network.parts(expression) }),
    };
    return ({ id, task, ...what }) => {
      try {
        return { id, ...tasks[task](what) };
      } catch (error) {
        return { id, error: String(error.message || error) };
      }
    };
  }
  scope.FerNetwork.answerer = answerer;
  if (typeof WorkerGlobalScope !== "undefined" && scope instanceof WorkerGlobalScope) {
    const answer = answerer();
    scope.onmessage = (event) => scope.postMessage(answer(event.data));
  }
})(typeof self === "undefined" ? globalThis : self);
