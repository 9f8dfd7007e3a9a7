/** Saves results on the user's device. */

import { Zip, ZipPassThrough } from "../vendor/fflate/browser.js";
import { element } from "./dom.js";

/** Save a blob as a file. */
export function save(blob, name) {
  const address = URL.createObjectURL(blob);
  const link = element("a", { href: address, download: name, hidden: true });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 60_000); // the browser reads it after the click
}

/** Save several files as one ZIP archive. They are stored as they are: photos are compressed. */
export async function saveZip(files, name) {
  save(await zipOf(files), name);
}

/**
 * Put files into a ZIP archive.
 *
 * @param {Array<{name: string, blob: Blob}>} files names must be unique.
 * @returns {Promise<Blob>}
 */
export async function zipOf(files) {
  const parts = [];
  const zip = new Zip((error, chunk) => {
    if (error) throw error;
    parts.push(chunk);
  });
  for (const { name, blob } of files) {
    const entry = new ZipPassThrough(name);
    zip.add(entry);
    entry.push(new Uint8Array(await blob.arrayBuffer()), true);
  }
  zip.end();
  return new Blob(parts, { type: "application/zip" });
}
