/**
 * Marked areas of a photo: strokes of a brush and polygons. A stroke is
 * {kind: "brush", size, points} or {kind: "polygon", points}, in pixels of the upright photo.
 */

/** Side of the largest mask in pixels; some browsers have no larger canvas. */
const MAX_SIDE_PX = 4096;

/** Colour of marked areas on the screen. */
export const PAINT = "#e5484d";

/** Return the size of the mask of a photo: its own, or a smaller one with the same shape. */
export function maskSize(width, height) {
  const scale = Math.min(1, MAX_SIDE_PX / Math.max(width, height));
  return { width: Math.round(width * scale), height: Math.round(height * scale), scale };
}

/** Draw strokes on a 2D context whose units are pixels of the photo. */
export function drawStrokes(context, strokes, colour) {
  context.lineCap = "round";
  context.lineJoin = "round";
  context.strokeStyle = colour;
  context.fillStyle = colour;
  for (const stroke of strokes) {
    if (stroke.kind === "polygon") fillPolygon(context, stroke.points);
    else drawLine(context, stroke);
  }
}

function drawLine(context, { size, points }) {
  context.lineWidth = size;
  context.beginPath();
  context.moveTo(...points[0]);
  for (const point of points.slice(1)) context.lineTo(...point);
  if (points.length === 1) context.lineTo(...points[0]); // a dot
  context.stroke();
}

function fillPolygon(context, points) {
  context.beginPath();
  context.moveTo(...points[0]);
  for (const point of points.slice(1)) context.lineTo(...point);
  context.closePath();
  context.fill("evenodd");
}

/** Return a canvas that shows the marked areas over a small picture of the photo. */
export function marksOf(strokes, photoWidth, photoHeight) {
  const canvas = document.createElement("canvas");
  const scale = Math.min(1, 1024 / Math.max(photoWidth, photoHeight));
  canvas.width = photoWidth * scale;
  canvas.height = photoHeight * scale;
  const context = canvas.getContext("2d");
  context.scale(scale, scale);
  drawStrokes(context, strokes, PAINT);
  canvas.className = "marks";
  return canvas;
}

/** Return the mask as a PNG: white on black. */
export function maskOf(strokes, photoWidth, photoHeight) {
  const { width, height, scale } = maskSize(photoWidth, photoHeight);
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.fillRect(0, 0, width, height); // black
  context.setTransform(scale, 0, 0, scale, 0, 0);
  drawStrokes(context, strokes, "#fff");
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

/**
 * Read polygons from text: one polygon per line, as "x,y x,y x,y" in pixels.
 *
 * @throws {Error} with a message for the user.
 */
export function parsePolygons(text, width, height) {
  const lines = text
    .split("\n")
    .map((line) => line.trim())
    .filter(Boolean);
  if (!lines.length) throw new Error("Type at least three points, such as 10,10 90,10 90,60.");
  return lines.map((line) => ({ kind: "polygon", points: parsePoints(line, width, height) }));
}

function parsePoints(line, width, height) {
  const points = line.split(/[\s;]+/).map((pair) => parsePoint(pair, width, height));
  if (points.length < 3) throw new Error(`“${line}” has fewer than three points.`);
  return points;
}

function parsePoint(pair, width, height) {
  const found = /^(\d+(?:\.\d+)?),(\d+(?:\.\d+)?)$/.exec(pair);
  if (!found) throw new Error(`“${pair}” is not a point. Write x,y x,y x,y.`);
  const [x, y] = [Number(found[1]), Number(found[2])];
  if (x > width || y > height) {
    throw new Error(`${pair} is outside of the photo, which has ${width} × ${height} pixels.`);
  }
  return [x, y];
}
