/** Small pictures for the list of recent results. */

const SIDE_PX = 192;

/** Return a picture as a data URI of a few kilobytes, or "" if the browser cannot show it. */
export async function thumbnailOf(blob) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(blob);
  } catch {
    return "";
  }
  const scale = SIDE_PX / Math.min(bitmap.width, bitmap.height);
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE_PX;
  const [width, height] = [bitmap.width * scale, bitmap.height * scale];
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(bitmap, (SIDE_PX - width) / 2, (SIDE_PX - height) / 2, width, height);
  bitmap.close();
  return canvas.toDataURL("image/jpeg", 0.75);
}
