"use strict";

// Tables: a click on a heading sorts by its column, largest numbers first; a second click turns the order round.
(() => {
  const collator = new Intl.Collator("en", { numeric: true });

  function sortKey(row, column) {
    const cell = row.cells[column];
    return cell.dataset.value === undefined ? cell.textContent.trim() : Number.parseFloat(cell.dataset.value);
  }

  function compare(a, b, direction) {
    if (typeof a === "string") return direction * collator.compare(a, b);
    // Methods without a number stay at the end, whichever way the others are sorted.
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
    return direction * (a - b);
  }

  function sortBy(table, heading) {
    const column = heading.cellIndex;
    const first = heading.classList.contains("number") ? "descending" : "ascending";
    const second = first === "descending" ? "ascending" : "descending";
    const order = heading.getAttribute("aria-sort") === first ? second : first;
    for (const other of heading.parentElement.cells) other.setAttribute("aria-sort", "none");
    heading.setAttribute("aria-sort", order);
    const direction = order === "ascending" ? 1 : -1;
    const body = table.tBodies[0];
    const rows = [...body.rows];
    rows.sort((a, b) => compare(sortKey(a, column), sortKey(b, column), direction));
    body.append(...rows);
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    for (const heading of table.tHead.rows[0].cells) {
      heading.querySelector("button").addEventListener("click", () => sortBy(table, heading));
    }
  }
})();

// The slice viewer.
(() => {
  const viewer = document.getElementById("viewer");
  if (!viewer) return;
  const canvas = document.getElementById("slice");
  const overview = document.getElementById("overview");
  const chooser = document.getElementById("case");
  // There is none where no case has more than its own points.
  const pointsChooser = document.getElementById("prompts");
  const slider = document.getElementById("slice-number");
  const text = document.getElementById("slice-text");
  const checkboxes = [...viewer.querySelectorAll("input[data-layer]")];
  const POINTS = { kept: "#009e73", dropped: "#d55e00", added: "#56b4e9", given: "#f0e442" };
  const SALIENCY = [204, 121, 167];
  const cases = new Map();
  let current = null;
  let prompts = null;
  let slice = 0;

  // A case's values are parsed when it is first looked at.
  function caseOf(number) {
    if (!cases.has(number)) {
      const values = JSON.parse(document.getElementById(`case-${number}`).textContent);
      values.pictures = new Map();
      cases.set(number, values);
    }
    return cases.get(number);
  }

  // A slice's picture; it is drawn again once it has been decoded.
  function picture(kind, index) {
    const files = current[kind];
    if (!files || files[index] === undefined) return null;
    const key = `${kind} ${index}`;
    if (!current.pictures.has(key)) {
      const image = new Image();
      image.addEventListener("load", requestDraw);
      image.src = `data:image/jpeg;base64,${files[index]}`;
      current.pictures.set(key, image);
    }
    return current.pictures.get(key);
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

  function drawSaliency(context) {
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

  function drawPoints(context, shown) {
    const [rows, columns] = current.grid;
    // Points stay clear of each other on a narrow screen.
    const size = Math.min(Math.max(canvas.clientWidth / 130, 3), 5) * density();
    for (const [column, row, fate] of prompts.points[slice]) {
      const visible = fate === "added" ? shown.has("consensus")
        : fate === "kept" ? shown.has("raw") || shown.has("consensus") : shown.has("raw");
      if (!visible) continue;
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

  function density() {
    return window.devicePixelRatio || 1;
  }

  let requested = 0;
  function requestDraw() {
    if (!requested) requested = window.requestAnimationFrame(draw);
  }

  function draw() {
    requested = 0;
    const [rows, columns] = current.grid;
    const aspect = (columns * current.pixel[1]) / (rows * current.pixel[0]);
    canvas.parentElement.style.setProperty("--aspect", aspect);
    canvas.width = Math.max(1, Math.round(canvas.clientWidth * density()));
    canvas.height = Math.max(1, Math.round(canvas.width / aspect));
    const context = canvas.getContext("2d");
    const image = picture("images", slice);
    if (isReady(image)) context.drawImage(image, 0, 0, canvas.width, canvas.height);
    const on = checkboxes.filter((box) => box.checked);
    const shown = new Set(on.map((box) => box.dataset.layer));
    if (shown.has("saliency")) drawSaliency(context);
    for (const box of on) {
      const answer = answerOf(box.dataset.method);
      if (!answer) continue;
      drawMask(context, answer.masks[slice], {
        colour: box.dataset.colour,
        dashed: box.dataset.dashed !== undefined,
        filled: true,
      });
    }
    if (shown.has("reference")) drawMask(context, current.reference[slice], { colour: "#ffffff" });
    drawPoints(context, shown);
    drawOverview();
    for (const next of [slice - 1, slice + 1]) picture("images", next);
  }

  function drawOverview() {
    const depth = current.images.length;
    overview.width = Math.max(1, Math.round(overview.clientWidth * density()));
    overview.height = Math.round(8 * density());
    const context = overview.getContext("2d");
    const style = getComputedStyle(viewer);
    const wide = overview.width / depth;
    context.fillStyle = style.getPropertyValue("--accent");
    current.reference.forEach((runs, index) => {
      if (runs) context.fillRect(Math.floor(index * wide), 0, Math.ceil(wide), overview.height);
    });
    context.strokeStyle = style.getPropertyValue("--ink");
    context.lineWidth = 2 * density();
    const inset = density();
    const marked = Math.max(wide - 2 * inset, 2 * density());
    context.strokeRect(slice * wide + inset, inset, marked, overview.height - 2 * inset);
  }

  function percent(value) {
    return value === null || value === undefined ? "-" : value.toFixed(2);
  }

  function countText(kind, counts) {
    if (!counts.any) return "none here";
    if (kind === "consensus") return `${counts.kept} kept, ${counts.added} added`;
    return counts.given ? `${counts.given}` : `${counts.kept} kept, ${counts.dropped} dropped`;
  }

  function tell() {
    const depth = current.images.length;
    text.value = `${slice + 1} of ${depth}`;
    slider.setAttribute("aria-valuetext", `slice ${slice + 1} of ${depth}`);
    const counts = { kept: 0, dropped: 0, added: 0, given: 0, any: prompts.points[slice].length };
    for (const [, , fate] of prompts.points[slice]) counts[fate] += 1;
    for (const box of checkboxes) {
      const row = box.closest("tr");
      const answer = answerOf(box.dataset.method);
      for (const cell of row.querySelectorAll("[data-score]")) {
        const whole = cell.dataset.score === "volume";
        cell.textContent = !answer ? "not run" : percent(whole ? answer.volumetric_dice : answer.slice_dice[slice]);
      }
      const missing = row.querySelector("[data-missing]");
      if (missing) missing.hidden = !(answer && answer.missing);
      for (const cell of row.querySelectorAll("[data-count]")) {
        cell.textContent = countText(cell.dataset.count, counts);
      }
    }
    const target = current.reference[slice] ? "with ground truth" : "without ground truth";
    const whose = pointsChooser ? `points, ${prompts.title}` : "points";
    const points = Object.entries(POINTS).filter(([fate]) => counts[fate]).map(([fate]) => `${counts[fate]} ${fate}`);
    canvas.setAttribute(
      "aria-label",
      `Case ${current.case}, slice ${slice + 1} of ${depth}, ${target}; ${whose}: ${points.join(", ") || "none"}`,
    );
  }

  function showSlice(index) {
    slice = Math.min(Math.max(index, 0), current.images.length - 1);
    slider.value = String(slice + 1);
    tell();
    requestDraw();
  }

  // The answers of methods without prompts stand in the first set alone: other points change nothing about them.
  function answerOf(method) {
    return prompts.methods[method] ?? current.prompt_sets[0].methods[method];
  }

  // Takes the chosen points of the case, or the comparison's own where it has no such points.
  function takePrompts() {
    const own = current.prompt_sets[0];
    const chosen = pointsChooser ? pointsChooser.value : own.title;
    const found = current.prompt_sets.find(({ title }) => title === chosen);
    prompts = found ?? own;
    const given = document.getElementById("given-legend");
    if (given) given.hidden = !prompts.points.flat().some(([, , fate]) => fate === "given");
    if (!pointsChooser) return;
    document.getElementById("prompts-text").value = found
      ? "" : `Case ${current.case} has no such points; shown are ${own.title}.`;
  }

  // A case opens at its largest target, where there is most to see.
  function largestTarget() {
    const areas = current.reference.map((runs) => {
      const on = runs ? runs.split(" ").filter((_, number) => number % 2) : [];
      return on.reduce((sum, run) => sum + Number(run), 0);
    });
    const largest = Math.max(...areas);
    return largest ? areas.indexOf(largest) : Math.floor(areas.length / 2);
  }

  function showCase(number) {
    const last = chooser.options.length - 1;
    const chosen = Math.min(Math.max(number, 0), last);
    // Decoded pictures of the case before would only fill the memory.
    if (current) current.pictures.clear();
    current = caseOf(chosen);
    chooser.value = String(chosen);
    slider.max = String(current.images.length);
    document.getElementById("previous-case").disabled = chosen === 0;
    document.getElementById("next-case").disabled = chosen === last;
    document.getElementById("side-top").textContent = current.sides[0];
    document.getElementById("side-left").textContent = current.sides[1];
    takePrompts();
    showSlice(largestTarget());
  }

  function step(cases) {
    showCase(Number(chooser.value) + cases);
  }

  const KEYS = {
    ArrowUp: () => showSlice(slice - 1),
    ArrowLeft: () => showSlice(slice - 1),
    ArrowDown: () => showSlice(slice + 1),
    ArrowRight: () => showSlice(slice + 1),
    Home: () => showSlice(0),
    End: () => showSlice(current.images.length - 1),
    PageUp: () => step(-1),
    PageDown: () => step(1),
  };

  viewer.addEventListener("keydown", (event) => {
    // A list of choices has its own use for these keys.
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select")) return;
    const box = /^[0-9]$/.test(event.key) ? checkboxes[(Number(event.key) + 9) % 10] : undefined;
    if (box) {
      box.checked = !box.checked;
      requestDraw();
    } else if (event.key in KEYS) {
      KEYS[event.key]();
    } else {
      return;
    }
    event.preventDefault();
  });
  canvas.addEventListener("wheel", (event) => {
    // Only a viewer that was clicked on takes the wheel from the page.
    if (document.activeElement !== canvas || event.ctrlKey || !event.deltaY) return;
    event.preventDefault();
    showSlice(slice + Math.sign(event.deltaY));
  }, { passive: false });
  slider.addEventListener("input", () => showSlice(Number(slider.value) - 1));
  chooser.addEventListener("change", () => showCase(Number(chooser.value)));
  pointsChooser?.addEventListener("change", () => {
    takePrompts();
    showSlice(slice);
  });
  document.getElementById("previous-case").addEventListener("click", () => step(-1));
  document.getElementById("next-case").addEventListener("click", () => step(1));
  for (const box of checkboxes) box.addEventListener("change", requestDraw);
  new ResizeObserver(requestDraw).observe(canvas.parentElement);
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", requestDraw);
  showCase(0);
})();
