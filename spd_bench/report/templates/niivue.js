// Draws cases with NiiVue, whose bundle stands in the page as a text: image, masks and points are its volumes.
function openScreen({ canvas, checkboxes, redraw, goTo }) {
  const SALIENCY = { R: [204, 204], G: [121, 121], B: [167, 167], A: [0, 255], I: [0, 255] };
  const SALIENCY_OPACITY = 0.75;
  // From this grey level on, saliency is as opaque as it gets; below it becomes transparent.
  const SALIENT = 254;
  // NiiVue's type of such colours, which its bundle does not name.
  const TRANSLUCENT_BELOW_MIN = 1;
  // A volume of NiiVue has one opacity: a mask that is filled is two of them, its inside and its border.
  const FILL_OPACITY = 0.25;
  const TURN_DEGREES = 10;
  const CROSSHAIR_PERCENT = 0.3;
  const view = document.getElementById("view");
  const state = document.getElementById("view-state");
  const fault = document.getElementById("view-fault");

  let niivue = null;
  let nv = null;
  // The case whose target the crosshair was led to, the points whose case and answers are loaded, what is loaded, and
  // which layers of it were last drawn.
  let centred = null;
  let loaded = null;
  let sheets = [];
  let drawn = "";
  // The points that are being loaded, and the last thing that was asked to be drawn.
  let loading = null;
  let wanted = null;

  function tell(error) {
    state.value = "";
    fault.hidden = false;
    fault.textContent = `The volumes cannot be shown (${error.message}). This viewer needs WebGL 2; `
      + "spd_compare_baselines --viewer canvas makes a report that needs none.";
  }

  async function open() {
    if (!document.createElement("canvas").getContext("webgl2")) throw new Error("no WebGL 2");
    const script = document.createElement("script");
    script.textContent = JSON.parse(document.getElementById("library").textContent);
    document.head.append(script);
    niivue = window.niivue;
    if (!niivue) throw new Error("NiiVue's bundle did not run");
    const made = new niivue.Niivue({
      dragAndDropEnabled: false,
      isRadiologicalConvention: true,
      sagittalNoseLeft: true,
      isForceMouseClickToVoxelCenters: true,
      // The page's own keys and choices stand for these.
      viewModeHotKey: "",
      clipPlaneHotKey: "",
      cycleClipPlaneHotKey: "",
      multiplanarLayout: niivue.MULTIPLANAR_TYPE.GRID,
      multiplanarShowRender: niivue.SHOW_RENDER.ALWAYS,
      crosshairWidthUnit: "percent",
      crosshairColor: [1, 1, 1, 0.5],
      fontColor: [1, 1, 1, 1],
      logLevel: "error",
    });
    await made.attachToCanvas(canvas);
    made.addColormap("saliency", SALIENCY);
    made.onLocationChange = takeLocation;
    nv = made;
    redraw();
  }

  function channels(colour) {
    return [1, 3, 5].map((at) => Number.parseInt(colour.slice(at, at + 2), 16));
  }

  // Gives the values 0, 1, 2... of a volume their colours; 0, and null, are transparent.
  function colourValues(volume, colours) {
    const [R, G, B] = [0, 1, 2].map((channel) => [0, ...colours.map((colour) => channels(colour ?? "#000000")[channel])]);
    const A = [0, ...colours.map((colour) => (colour ? 255 : 0))];
    volume.setColormapLabel({ R, G, B, A, I: A.map((_, value) => value) });
  }

  async function maskSheets(text, box, axes) {
    const layer = layerOf(box);
    const border = await niivue.NVImage.loadFromBase64({ base64: text, name: "mask.nii.gz" });
    markBorders(border, axes, box.dataset.dashed !== undefined);
    if (box.dataset.layer === "reference") {
      colourValues(border, [null, "#ffffff"]);
      return [{ layer, volume: border, opacity: 1 }];
    }
    const fill = border.clone();
    colourValues(fill, [box.dataset.colour, box.dataset.colour]);
    colourValues(border, [null, box.dataset.colour]);
    return [{ layer, volume: fill, opacity: FILL_OPACITY }, { layer, volume: border, opacity: 1 }];
  }

  async function saliencySheet(text) {
    const volume = await niivue.NVImage.loadFromBase64({
      base64: text, name: "saliency.nii.gz", colormap: "saliency", cal_min: SALIENT, cal_max: 255,
    });
    volume.colormapType = TRANSLUCENT_BELOW_MIN;
    return { layer: "saliency", volume, opacity: SALIENCY_OPACITY };
  }

  function pointsSheet(image) {
    const volume = image.clone();
    colourValues(volume, Object.values(POINTS));
    return { layer: "points", volume, opacity: 1 };
  }

  async function imageSheets(text) {
    const volume = await niivue.NVImage.loadFromBase64({
      base64: text, name: "image.nii.gz", colormap: "gray", cal_min: 0, cal_max: 255,
    });
    return { image: { layer: "image", volume, opacity: 1 }, points: pointsSheet(volume) };
  }

  // The volumes of a case with their layers and opacities, from the lowest to the highest.
  async function readSheets({ values, answerOf }) {
    const textOf = ({ dataset }) => (dataset.layer === "reference" ? values.reference : answerOf(dataset.method)?.masks);
    // All texts are taken before the first wait: answers are those of the case that is looked at.
    const boxes = [...checkboxes].reverse().filter((box) => textOf(box));
    const [{ image, points }, saliency, masks] = await Promise.all([
      imageSheets(values.images),
      values.saliency ? saliencySheet(values.saliency) : null,
      Promise.all(boxes.map((box) => maskSheets(textOf(box), box, values.axes))),
    ]);
    return [image, ...(saliency ? [saliency] : []), ...masks.flat(), points];
  }

  function layerOf(box) {
    return box.dataset.method ? `method ${box.dataset.method}` : box.dataset.layer;
  }

  // Leads the crosshair to the middle of the target, or of the image where there is none: all three planes show it.
  function leadToTarget(values) {
    const target = sheets.find(({ layer }) => layer === "reference");
    nv.scene.crosshairPos = target ? nv.vox2frac(middleOf(target.volume)) : [0.5, 0.5, 0.5];
    centred = values;
  }

  async function load(asked) {
    loading = asked.prompts;
    state.value = "loading";
    const found = await readSheets(asked);
    // The reader may have gone on to another case.
    if (loading !== asked.prompts) return;
    sheets = found;
    for (const { layer, volume } of sheets) volume.opacity = layer === "image" ? 1 : 0;
    nv.volumes = sheets.map(({ volume }) => volume);
    nv.setVolume(nv.volumes[0], 0);
    loaded = asked.prompts;
    drawn = "";
    if (centred !== asked.values) leadToTarget(asked.values);
    nv.opts.isOrientationTextVisible = asked.values.sides[0] !== "";
    redraw();
  }

  // The axis of the file that runs through the slices, and whether it does so backwards.
  function through() {
    return wanted.values.axes[2];
  }

  function placeOf(slice) {
    const [, backwards] = through();
    return backwards ? wanted.values.target.length - 1 - slice : slice;
  }

  function showSlice(slice) {
    const [axis] = through();
    const place = nv.frac2vox(nv.scene.crosshairPos);
    place[axis] = placeOf(slice);
    nv.scene.crosshairPos = nv.vox2frac(place);
    const { SAGITTAL, CORONAL, AXIAL, MULTIPLANAR, RENDER } = niivue.SLICE_TYPE;
    const chosen = { slices: [SAGITTAL, CORONAL, AXIAL][axis], planes: MULTIPLANAR, solid: RENDER }[view.value];
    nv.opts.crosshairWidth = view.value === "slices" ? 0 : CROSSHAIR_PERCENT;
    if (nv.opts.sliceType !== chosen) nv.setSliceType(chosen);
    nv.drawScene();
  }

  // The crosshair was moved by the mouse or the wheel.
  function takeLocation({ vox }) {
    if (!wanted || loaded !== wanted.prompts) return;
    const slice = placeOf(Math.round(vox[through()[0]]));
    if (slice !== wanted.slice) goTo(slice);
  }

  function showLayers({ values, prompts, shown }) {
    const on = ["image", "points", ...checkboxes.filter((box) => box.checked).map(layerOf)];
    if (on.join() === drawn) return;
    drawn = on.join();
    paintPoints(sheets.at(-1).volume, values, prompts.points, shown);
    for (const { layer, volume, opacity } of sheets) volume.opacity = on.includes(layer) ? opacity : 0;
    nv.updateGLVolume();
  }

  function draw(asked) {
    wanted = asked;
    if (!nv) return;
    if (loaded === asked.prompts) {
      // Whatever else is still being loaded is wanted no more.
      loading = null;
      state.value = "";
      fault.hidden = true;
      showLayers(asked);
      showSlice(asked.slice);
    } else if (loading !== asked.prompts) {
      load(asked).catch(tell);
    }
  }

  function turn(azimuth, elevation) {
    if (!nv || view.value === "slices") return;
    nv.setRenderAzimuthElevation(nv.scene.renderAzimuth + azimuth, nv.scene.renderElevation + elevation);
  }

  canvas.parentElement.addEventListener("wheel", (event) => {
    // Only a viewer that was clicked on takes the wheel from the page.
    if (document.activeElement !== canvas) event.stopPropagation();
  }, { capture: true, passive: true });
  view.addEventListener("change", redraw);
  open().catch(tell);
  return {
    draw,
    keys: {
      h: () => turn(-TURN_DEGREES, 0),
      l: () => turn(TURN_DEGREES, 0),
      j: () => turn(0, TURN_DEGREES),
      k: () => turn(0, -TURN_DEGREES),
    },
  };
}
