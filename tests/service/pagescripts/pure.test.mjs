/** Tests of the page's functions that need no browser: node --test. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const scripts = new URL("../../../restore/service/page/scripts/", import.meta.url);
const load = (name) => import(new URL(name, scripts));
const openapi = JSON.parse(readFileSync(new URL("../../contract/schema.json", import.meta.url)));

const { describeState, duration, progressOf } = await load("progress.js");
const { ServiceError, messageOf, splitCode } = await load("errors.js");
const { fieldsOf, fieldsOfTask, tasksOf } = await load("schema.js");
const { LABELS, TASKS } = await load("tasks.js");
const { inputFor, usesMask } = await load("request.js");
const { fileKind, fileSize, humanName, resultName, uniqueNames } = await load("names.js");
const { clampScale, fitScale, visibleDivider } = await load("zoom.js");
const { maskSize, parsePolygons } = await load("strokes.js");
const { readInspection } = await load("inspection.js");
const { learnLabels, withLabels } = await load("option_labels.js");

function photoWith(changes) {
  const steps = [
    { step: "restore", work: "denoise", proposed: true, chosen: true },
    { step: "restore", work: "deblur", proposed: true, chosen: true },
    { step: "face_restore", work: "", proposed: true, chosen: true },
  ];
  const photo = { inspection: "done", steps, mask: null, facePoints: null, ...changes };
  return { ...photo, chosenSteps: photo.steps.filter((each) => each.chosen) };
}

test("progress is that of the last line of tqdm", () => {
  const logs =
    "loading\n100%|##########| 1/1 [00:01<00:00] face_restore: faces\r" +
    " 42%|####1     | 5/12 [00:03<00:04] upscale: tiles\nnote: 3/4\n";
  assert.deepEqual(progressOf(logs), { label: "upscale: tiles", done: 5, total: 12 });
  assert.deepEqual(progressOf(" 50%|##  | 1/2"), { label: "", done: 1, total: 2 });
  assert.equal(progressOf("42% of it is done"), null);
  assert.equal(progressOf(undefined), null);
});

test("progress is described by step and unit", () => {
  const text = (line) => describeState({ status: "processing", logs: line });
  assert.equal(text(" 42%|####  | 5/12 [00:03<00:04] upscale: tiles"), "Enlarge: 5 of 12 tiles");
  assert.equal(text("  0%|      | 0/1 [00:00<?] upscale: tiles"), "Enlarge: tiles");
  assert.equal(text("  0%|      | 0/3 [00:00<?] new_step"), "New step: 0 of 3");
  assert.equal(text("  0%|      | 0/1 [00:00<?] photos"), "Running");
});

test("states are described in words, without invented numbers", () => {
  const waiting = (queue_position) => ({ status: "starting", metrics: { queue_position } });
  assert.equal(describeState(waiting(1)), "Waiting: 1 job before this one");
  assert.equal(describeState(waiting(0)), "Waiting: next in the queue");
  assert.equal(describeState({ status: "starting" }), "Waiting in the queue");
  assert.equal(describeState({ status: "processing", logs: "loading" }), "Running");
  assert.equal(duration(59.6), "1 min 0 s");
  assert.equal(duration(0.05), "less than 1 s");
  assert.equal(humanName("face_restore"), "Face restore");
});

test("errors about the photo itself are told from those about the request", () => {
  const isAboutPhoto = (text) => new ServiceError(text).isAboutPhoto;
  assert.ok(isAboutPhoto("[E205] photo 'a.txt': it is no photo. Send a JPEG."));
  assert.ok(!isAboutPhoto("[E201] photo 'a.jpg': it does not exist. Check the path."));
  assert.ok(!isAboutPhoto("[E102] scale is 9. Use 1 to 8."));
  assert.ok(!isAboutPhoto("The service does not respond."));
});

test("errors are split into code and message", () => {
  assert.deepEqual(splitCode("[E205] no photo. Send JPEG."), {
    code: "E205",
    message: "no photo. Send JPEG.",
  });
  assert.deepEqual(splitCode("no code"), { code: "", message: "no code" });
  assert.equal(messageOf('{"title": "Not Found", "detail": "[E602] gone"}'), "[E602] gone");
  assert.equal(messageOf('{"detail": [{"msg": "a"}, {"msg": "b"}]}'), "a b");
  assert.equal(messageOf("<html>Bad gateway</html>"), "");
});

test("the names that the page uses are in the schema", () => {
  const fields = fieldsOf(openapi);
  const names = new Set(fields.map((field) => field.name));
  for (const name of Object.keys(LABELS)) assert.ok(names.has(name), name);
  for (const [task, { options }] of Object.entries(TASKS)) {
    assert.ok(tasksOf(openapi).includes(task), task);
    const used = fieldsOfTask(fields, task).map((field) => field.name);
    for (const name of options) assert.ok(used.includes(name), `${task}: ${name}`);
  }
});

test("fields have the types, bounds and users of the schema", () => {
  const fields = new Map(fieldsOf(openapi).map((field) => [field.name, field]));
  const scale = fields.get("scale");
  assert.deepEqual([scale.kind, scale.minimum, scale.maximum, scale.initial], ["number", 1, 8, 4]);
  assert.deepEqual(scale.tasks, ["enhance", "upscale"]);
  assert.equal(scale.description, "Enlarge the result by exactly this factor.");
  assert.match(fields.get("restore_variant").description, /automatic is the choice of this service/);
  assert.match(fields.get("face_detector").description, /automatic uses retinaface_resnet50/);
  assert.deepEqual(fields.get("output_format").choices, ["jpg", "png", "webp", "same"]);
  assert.equal(fields.get("output_format").tasks, null);
  const keep = fields.get("keep_color");
  assert.deepEqual([keep.kind, keep.optional, keep.initial], ["switch", true, null]);
  for (const name of ["task", "image", "mask", "points", "steps"])
    assert.ok(!fields.has(name), name);
});

test("the service proposes the steps again, without those that are left out", () => {
  const { input } = inputFor(photoWith({}), "pipeline", { scale: 2 });
  assert.deepEqual(input, { task: "pipeline", scale: 2, steps: "auto" });
  const { steps } = photoWith({});
  steps[1].chosen = steps[2].chosen = false;
  steps.push({ step: "colorize", work: "", proposed: false, chosen: true });
  steps.push({ step: "upscale", work: "", proposed: false, chosen: false });
  steps.unshift({ step: "inpaint", work: "", proposed: true, chosen: false });
  const changed = inputFor(photoWith({ steps }), "pipeline", {}).input;
  assert.equal(changed.steps, "auto,colorize,-deblur,-face_restore");
  assert.match(inputFor(photoWith({ steps: [] }), "pipeline", {}).problem, /at least one step/);
  const uninspected = photoWith({ inspection: "failed", steps: [] });
  assert.deepEqual(inputFor(uninspected, "pipeline", {}).input, { task: "pipeline" });
});

test("points of faces are sent with tasks that restore faces", () => {
  const photo = photoWith({ facePoints: [[1, 2]] });
  assert.equal(inputFor(photo, "face_restore", {}).input.face_points, "[[1,2]]");
  assert.equal(inputFor(photo, "upscale", {}).input.face_points, undefined);
  assert.equal(inputFor(photo, "upscale", { face_enhance: true }).input.face_points, "[[1,2]]");
  assert.equal(
    inputFor(photo, "old_photo_restore", { with_face: false }).input.face_points,
    undefined,
  );
  const noFace = photoWith({ facePoints: [] });
  assert.match(inputFor(noFace, "enhance", {}).problem, /one face, or another task/);
  assert.match(inputFor(noFace, "pipeline", {}).problem, /one face, or leave out the steps/);
});

test("faces are chosen by number or in the photo, not both", () => {
  const photo = photoWith({ facePoints: [[1, 2]] });
  assert.match(inputFor(photo, "enhance", { faces: "0,2" }).problem, /Clear the option/);
  const { input } = inputFor(photo, "enhance", { faces: "largest" });
  assert.deepEqual([input.faces, input.face_points], ["largest", "[[1,2]]"]);
  const all = inputFor(photoWith({}), "enhance", { faces: "0,2" }).input;
  assert.deepEqual([all.faces, all.face_points], ["0,2", undefined]);
});

test("a mask belongs to inpaint, and to pipelines in which that step is chosen", () => {
  const photo = { mask: {}, chosenSteps: [{ step: "upscale" }, { step: "inpaint" }] };
  assert.ok(usesMask(photo, { task: "inpaint" }));
  assert.ok(usesMask(photo, { task: "pipeline", steps: "auto" }));
  assert.ok(!usesMask({ ...photo, chosenSteps: [] }, { task: "pipeline", steps: "auto" }));
  assert.ok(!usesMask(photo, { task: "upscale" }));
  assert.ok(!usesMask({ ...photo, mask: null }, { task: "inpaint" }));
});

test("an inspection is read by its names", () => {
  const found = readInspection({
    photo: { width: 640, height: 480 },
    steps: [{ task: "restore", work: "deblur", reason: "soft", options: {}, new: 1 }],
    faces: [{ index: 0, box: [1, 2, 3, 4], restorable: false, reason: "blurred", score: 0.9 }],
    warnings: ["rotated"],
  });
  assert.deepEqual(found.steps, [{ step: "restore", work: "deblur", why: "soft" }]);
  const face = { index: 0, box: [1, 2, 3, 4], restorable: false, reason: "blurred" };
  assert.deepEqual(found.faces, [face]);
  assert.deepEqual(found.warnings, ["rotated"]);
  assert.equal(found.width, 640);
});

test("options in messages have the labels of the form", () => {
  const huge = "81 megapixels. Make it smaller, or set max_megapixels to have it reduced.";
  assert.equal(withLabels(huge), huge); // before the schema is known
  learnLabels(fieldsOf(openapi));
  assert.equal(
    withLabels(huge),
    "81 megapixels. Make it smaller, or set “Largest photo in megapixels” to have it reduced.",
  );
  assert.equal(
    withLabels("raise scratch_threshold, or set with_scratch to false"),
    "raise “Scratch threshold”, or switch off “Fill scratches”",
  );
  const others = "photo 'tile_size.jpg': my_name, with_face.png and scale are no options";
  assert.equal(withLabels(others), others);
});

test("kinds of files are named by their suffixes", () => {
  assert.equal(fileKind("IMG 1.heic"), "HEIC files");
  assert.equal(fileKind("photo"), "this file");
  assert.equal(fileKind("broken.JPG"), "this file"); // every browser shows JPEG files
});

test("result files have names that every system accepts", () => {
  const name = (photo) => resultName(photo, "image/jpeg");
  assert.equal(name('my "best" <photo>.jpg'), "my _best_ _photo_-restored.jpg");
  assert.equal(name("a:b|c?d*e.png"), "a_b_c_d_e-restored.jpg");
  assert.equal(name("..\\..\\evil/x.jpg"), ".._.._evil_x-restored.jpg");
  assert.equal(name("a\u0000\n\u202egpj.jpg"), "a___gpj-restored.jpg");
  assert.equal(name("con.old.jpg"), "con_.old-restored.jpg");
  assert.equal(name("concert.jpg"), "concert-restored.jpg");
  assert.equal(name("Großmutter 祖母 1950.jpg"), "Großmutter 祖母 1950-restored.jpg");
  const [first, second] = uniqueNames([name("a<.jpg"), name("a>.jpg")]);
  assert.deepEqual([first, second], ["a_-restored.jpg", "a_-restored (2).jpg"]);
});

test("result files have the names of their photos", () => {
  assert.equal(resultName("Aunt Mary.TIFF", "image/png"), "Aunt Mary-restored.png");
  assert.equal(resultName("a.jpg", "image/png", 1), "a-restored-2.png");
  assert.equal(resultName(".jpg", "image/jpeg"), "photo-restored.jpg");
  assert.deepEqual(uniqueNames(["a.jpg", "b.jpg", "a.jpg", "a.jpg"]), [
    "a.jpg",
    "b.jpg",
    "a (2).jpg",
    "a (3).jpg",
  ]);
  assert.deepEqual(uniqueNames(["a.jpg", "A.jpg"]), ["a.jpg", "A (2).jpg"]);
  assert.deepEqual(
    [fileSize(999), fileSize(28_400), fileSize(3_210_000)],
    ["999 bytes", "28 kB", "3.2 MB"],
  );
});

test("zooming stays between the whole photo and its limit", () => {
  assert.equal(fitScale(2000, 1000, 500, 500, 1), 0.25);
  assert.equal(fitScale(100, 100, 500, 500, 1), 1);
  assert.equal(fitScale(100, 100, 500, 500, 4), 4);
  assert.equal(clampScale(0.1, 0.25), 0.25);
  assert.equal(clampScale(100, 0.25), 8);
  assert.equal(visibleDivider(10, 40, 60), 41.6);
  assert.equal(visibleDivider(50, 40, 60), 50);
});

test("typed polygons are checked against the photo", () => {
  const [first, second] = parsePolygons("1,2 30,4 5,6\n\n0,0 9.5,0 0,9", 30, 20);
  assert.deepEqual(first.points, [
    [1, 2],
    [30, 4],
    [5, 6],
  ]);
  assert.deepEqual(second.points[1], [9.5, 0]);
  assert.throws(() => parsePolygons("", 30, 20), /at least three points/);
  assert.throws(() => parsePolygons("1,2 3,4", 30, 20), /fewer than three/);
  assert.throws(() => parsePolygons("1,2 3;4 5,6", 30, 20), /is not a point/);
  assert.throws(() => parsePolygons("1,2 31,4 5,6", 30, 20), /31,4 is outside/);
  assert.deepEqual(maskSize(8192, 2048), { width: 4096, height: 1024, scale: 0.5 });
  assert.deepEqual(maskSize(400, 300), { width: 400, height: 300, scale: 1 });
});
