// What is written into and read from the voxels of NiiVue's volumes: borders of masks, signs of points, a middle.

// The value of a mask's border on its slice; its inside is 1.
const BORDER = 2;

// For column, row and slice: the step between neighbours in a file's list of voxels, their number, and the first.
function stepsOf(volume, axes) {
  const sizes = volume.hdr.dims.slice(1, 4);
  const strides = [1, sizes[0], sizes[0] * sizes[1]];
  return axes.map(([axis, backwards]) => ({
    count: sizes[axis],
    step: backwards ? -strides[axis] : strides[axis],
    first: backwards ? (sizes[axis] - 1) * strides[axis] : 0,
  }));
}

// Marks where a mask ends on its slice; a dashed border has every other two voxels of it.
function markBorders(volume, axes, dashed) {
  const [columns, rows, slices] = stepsOf(volume, axes);
  const voxels = volume.img;
  const isOn = (at, place, { count, step }, by) => place + by >= 0 && place + by < count && voxels[at + by * step] > 0;
  for (let z = 0; z < slices.count; z += 1) {
    for (let y = 0; y < rows.count; y += 1) {
      let at = columns.first + rows.first + slices.first + y * rows.step + z * slices.step;
      for (let x = 0; x < columns.count; x += 1, at += columns.step) {
        if (!voxels[at] || (dashed && (x + y) % 4 > 1)) continue;
        const within = [-1, 1].every((by) => isOn(at, x, columns, by) && isOn(at, y, rows, by));
        if (!within) voxels[at] = BORDER;
      }
    }
  }
}

// Which voxels around a point are its sign: a disc, a cross, a diamond or a square, as on the canvas.
const SIGNS = {
  kept: (x, y, size) => x * x + y * y <= size * size + size / 2,
  dropped: (x, y, size) => Math.abs(Math.abs(x) - Math.abs(y)) < size / 2,
  added: (x, y, size) => Math.abs(x) + Math.abs(y) <= size,
  given: () => true,
};

function paintPoints(volume, values, points, shown) {
  const [columns, rows, slices] = stepsOf(volume, values.axes);
  const size = Math.min(Math.max(Math.round(columns.count / 85), 1), 3);
  const fates = Object.keys(POINTS);
  volume.img.fill(0);
  points.forEach((onSlice, z) => {
    for (const [column, row, fate] of onSlice) {
      if (!isPointShown(fate, shown)) continue;
      const x = Math.floor(((column + 0.5) / values.grid[1]) * columns.count);
      const y = Math.floor(((row + 0.5) / values.grid[0]) * rows.count);
      const start = columns.first + rows.first + slices.first + z * slices.step;
      for (let dy = -size; dy <= size; dy += 1) {
        for (let dx = -size; dx <= size; dx += 1) {
          const [sx, sy] = [x + dx, y + dy];
          if (sx < 0 || sy < 0 || sx >= columns.count || sy >= rows.count || !SIGNS[fate](dx, dy, size)) continue;
          volume.img[start + sx * columns.step + sy * rows.step] = fates.indexOf(fate) + 1;
        }
      }
    }
  });
}

// The voxel in the middle of those that a mask has; it has at least one.
function middleOf(volume) {
  const [, width, height] = volume.hdr.dims;
  const sums = [0, 0, 0];
  let count = 0;
  volume.img.forEach((value, at) => {
    if (!value) return;
    const place = [at % width, Math.floor(at / width) % height, Math.floor(at / (width * height))];
    place.forEach((number, axis) => { sums[axis] += number; });
    count += 1;
  });
  return sums.map((sum) => Math.round(sum / count));
}
