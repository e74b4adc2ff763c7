// The viewer of cases: what is chosen, told and stepped through. A screen, of which there are several kinds, draws it.
const POINTS = { kept: "#009e73", dropped: "#d55e00", added: "#56b4e9", given: "#f0e442" };

function density() {
  return window.devicePixelRatio || 1;
}

// A kept point is in both layers of points.
function isPointShown(fate, shown) {
  if (fate === "kept") return shown.has("raw") || shown.has("consensus");
  return shown.has(fate === "added" ? "consensus" : "raw");
}

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
  const screen = openScreen({ canvas, checkboxes, redraw: requestDraw, goBy, goTo: showSlice });
  const cases = new Map();
  let current = null;
  let prompts = null;
  let slice = 0;

  // A case's values are parsed when it is first looked at.
  function caseOf(number) {
    if (!cases.has(number)) {
      cases.set(number, JSON.parse(document.getElementById(`case-${number}`).textContent));
    }
    return cases.get(number);
  }

  let requested = 0;
  function requestDraw() {
    if (!requested) requested = window.requestAnimationFrame(draw);
  }

  function draw() {
    requested = 0;
    const shown = new Set(checkboxes.filter((box) => box.checked).map((box) => box.dataset.layer));
    screen.draw({ values: current, prompts, slice, shown, answerOf });
    drawOverview();
  }

  function drawOverview() {
    const depth = current.target.length;
    overview.width = Math.max(1, Math.round(overview.clientWidth * density()));
    overview.height = Math.round(8 * density());
    const context = overview.getContext("2d");
    const style = getComputedStyle(viewer);
    const wide = overview.width / depth;
    context.fillStyle = style.getPropertyValue("--accent");
    current.target.forEach((pixels, index) => {
      if (pixels) context.fillRect(Math.floor(index * wide), 0, Math.ceil(wide), overview.height);
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
    const depth = current.target.length;
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
    const target = current.target[slice] ? "with ground truth" : "without ground truth";
    const whose = pointsChooser ? `points, ${prompts.title}` : "points";
    const points = Object.entries(POINTS).filter(([fate]) => counts[fate]).map(([fate]) => `${counts[fate]} ${fate}`);
    canvas.setAttribute(
      "aria-label",
      `Case ${current.case}, slice ${slice + 1} of ${depth}, ${target}; ${whose}: ${points.join(", ") || "none"}`,
    );
  }

  function showSlice(index) {
    slice = Math.min(Math.max(index, 0), current.target.length - 1);
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
    const largest = Math.max(...current.target);
    return largest ? current.target.indexOf(largest) : Math.floor(current.target.length / 2);
  }

  function showCase(number) {
    const last = chooser.options.length - 1;
    const chosen = Math.min(Math.max(number, 0), last);
    current = caseOf(chosen);
    chooser.value = String(chosen);
    slider.max = String(current.target.length);
    document.getElementById("previous-case").disabled = chosen === 0;
    document.getElementById("next-case").disabled = chosen === last;
    takePrompts();
    showSlice(largestTarget());
  }

  function goBy(slices) {
    showSlice(slice + slices);
  }

  function step(cases) {
    showCase(Number(chooser.value) + cases);
  }

  const KEYS = {
    ArrowUp: () => goBy(-1),
    ArrowLeft: () => goBy(-1),
    ArrowDown: () => goBy(1),
    ArrowRight: () => goBy(1),
    Home: () => showSlice(0),
    End: () => showSlice(current.target.length - 1),
    PageUp: () => step(-1),
    PageDown: () => step(1),
    ...screen.keys,
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
    event.stopPropagation();
    // Before the screen sees the key, which may have a use of its own for it.
  }, { capture: true });
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
