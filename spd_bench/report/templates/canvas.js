// Draws cases on a 2D canvas: JPEG slices, and masks and points on them.
function openScreen({ canvas, checkboxes, redraw, goBy }) {
  const SALIENCY = [204, 121, 167];
  const pictures = new Map();
  let current = null;

  // A slice's picture; it is drawn again once it has been decoded.
  function picture(kind, index) {
    const files = current[kind];
    if (!files || files[index] === undefined) return null;
    const key = `${kind} ${index}`;
    if (!pictures.has(key)) {
      const image = new Image();
      image.addEventListener("load", redraw);
      image.src = `data:image/jpeg;base64,${files[index]}`;
      pictures.set(key, image);
    }
    return pictures.get(key);
  }

  function isReady(image) {
    return image !== null && image.complete && image.naturalWidth > 0;
  }

  // Run lengths: pixels off, pixels on, pixels off..., row after row.
  function pixelsOf(runs) {
    const [rows, columns] = current.size;
    const mask = new Uint8Array(rows * columns);
    if (!runs) return null;
    let position = 0;
    runs.split(" ").forEach((run, number) => {
      const end = position + Number(run);
      if (number % 2) mask.fill(1, position, end);
      position = end;
    });
    return mask;
  }

  function onMask(mask, row, column) {
    const [rows, columns] = current.size;
    return row >= 0 && column >= 0 && row < rows && column < columns && mask[row * columns + column] === 1;
  }

  // The border of a mask, along the edges of its pixels; every other two pixels of it when it is dashed.
  function outlineOf(mask, dashed) {
    const [rows, columns] = current.size;
    const [sx, sy] = [canvas.width / columns, canvas.height / rows];
    const path = new Path2D();
    const edge = (x1, y1, x2, y2) => {
      if (dashed && (x1 + y1) % 4 > 1) return;
      path.moveTo(x1 * sx, y1 * sy);
      path.lineTo(x2 * sx, y2 * sy);
    };
    for (let row = 0; row < rows; row += 1) {
      for (let column = 0; column < columns; column += 1) {
        if (!mask[row * columns + column]) continue;
        if (!onMask(mask, row - 1, column)) edge(column, row, column + 1, row);
        if (!onMask(mask, row + 1, column)) edge(column, row + 1, column + 1, row + 1);
        if (!onMask(mask, row, column - 1)) edge(column, row, column, row + 1);
        if (!onMask(mask, row, column + 1)) edge(column + 1, row, column + 1, row + 1);
      }
    }
    return path;
  }

  function strokeTwice(context, path, colour, width) {
    context.lineCap = "round";
    context.strokeStyle = "rgba(0, 0, 0, 0.7)";
    context.lineWidth = width + 2 * density();
    context.stroke(path);
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.stroke(path);
  }

  function drawMask(context, runs, { colour, dashed, filled }) {
    const mask = pixelsOf(runs);
    if (!mask) return;
    if (filled) {
      const [rows, columns] = current.size;
      const [sx, sy] = [canvas.width / columns, canvas.height / rows];
      const area = new Path2D();
      for (let row = 0; row < rows; row += 1) {
        for (let start = 0; start < columns; start += 1) {
          if (!mask[row * columns + start]) continue;
          let end = start;
          while (end < columns && mask[row * columns + end]) end += 1;
          // Whole pixels, or the seams between two rows would show.
          const [top, bottom] = [Math.round(row * sy), Math.round((row + 1) * sy)];
          area.rect(start * sx, top, (end - start) * sx, bottom - top);
          start = end;
        }
      }
      context.globalAlpha = 0.25;
      context.fillStyle = colour;
      context.fill(area);
      context.globalAlpha = 1;
    }
    strokeTwice(context, outlineOf(mask, dashed), colour, 2 * density());
  }

  function drawSaliency(context, slice) {
    const image = picture("saliency", slice);
    if (!isReady(image)) return;
    const small = new OffscreenCanvas(image.naturalWidth, image.naturalHeight);
    const own = small.getContext("2d");
    own.drawImage(image, 0, 0);
    const pixels = own.getImageData(0, 0, small.width, small.height);
    for (let at = 0; at < pixels.data.length; at += 4) {
      const value = pixels.data[at];
      pixels.data.set([...SALIENCY, 0.75 * value], at);
    }
    own.putImageData(pixels, 0, 0);
    context.drawImage(small, 0, 0, canvas.width, canvas.height);
  }

  function pointPath(fate, x, y, size) {
    const path = new Path2D();
    if (fate === "kept") {
      path.arc(x, y, size, 0, 2 * Math.PI);
    } else if (fate === "dropped") {
      path.moveTo(x - size, y - size);
      path.lineTo(x + size, y + size);
      path.moveTo(x + size, y - size);
      path.lineTo(x - size, y + size);
    } else if (fate === "added") {
      path.moveTo(x, y - 1.3 * size);
      path.lineTo(x + 1.3 * size, y);
      path.lineTo(x, y + 1.3 * size);
      path.lineTo(x - 1.3 * size, y);
      path.closePath();
    } else {
      path.rect(x - 0.9 * size, y - 0.9 * size, 1.8 * size, 1.8 * size);
    }
    return path;
  }

  function drawPoints(context, points, shown) {
    const [rows, columns] = current.grid;
    // Points stay clear of each other on a narrow screen.
    const size = Math.min(Math.max(canvas.clientWidth / 130, 3), 5) * density();
    for (const [column, row, fate] of points) {
      if (!isPointShown(fate, shown)) continue;
      const path = pointPath(fate, ((column + 0.5) / columns) * canvas.width, ((row + 0.5) / rows) * canvas.height, size);
      if (fate === "dropped") {
        strokeTwice(context, path, "#ffffff", 0.9 * size);
        context.strokeStyle = POINTS[fate];
        context.lineWidth = 0.55 * size;
        context.stroke(path);
      } else {
        strokeTwice(context, path, "#ffffff", 1.5 * density());
        context.fillStyle = POINTS[fate];
        context.fill(path);
      }
    }
  }

  function draw({ values, prompts, slice, shown, answerOf }) {
    if (current !== values) {
      // Decoded pictures of the case before would only fill the memory.
      pictures.clear();
      current = values;
      document.getElementById("side-top").textContent = current.sides[0];
      document.getElementById("side-left").textContent = current.sides[1];
    }
    const [rows, columns] = current.grid;
    const aspect = (columns * current.pixel[1]) / (rows * current.pixel[0]);
    canvas.parentElement.style.setProperty("--aspect", aspect);
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * density()));
    canvas.height = Math.max(1, Math.round(canvas.width / aspect));
    const context = canvas.getContext("2d");
    const image = picture("images", slice);
    if (isReady(image)) context.drawImage(image, 0, 0, canvas.width, canvas.height);
    if (shown.has("saliency")) drawSaliency(context, slice);
    for (const box of checkboxes) {
      const answer = box.checked && answerOf(box.dataset.method);
      if (!answer) continue;
      drawMask(context, answer.masks[slice], {
        colour: box.dataset.colour,
        dashed: box.dataset.dashed !== undefined,
        filled: true,
      });
    }
    if (shown.has("reference")) drawMask(context, current.reference[slice], { colour: "#ffffff" });
    drawPoints(context, prompts.points[slice], shown);
    for (const next of [slice - 1, slice + 1]) picture("images", next);
  }

  canvas.addEventListener("wheel", (event) => {
    // Only a viewer that was clicked on takes the wheel from the page.
    if (document.activeElement !== canvas || event.ctrlKey || !event.deltaY) return;
    event.preventDefault();
    goBy(Math.sign(event.deltaY));
  }, { passive: false });
  return { draw, keys: {} };
}
