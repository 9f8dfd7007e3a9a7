/** Names of files and of inputs, as the user sees them. */

const EXTENSIONS = {
  "image/jpeg": "jpg",
  "image/png": "png",
  "image/webp": "webp",
  "application/json": "json",
};

/** Characters that Windows refuses in names, that separate folders, or that hide the suffix. */
const UNSAFE = /[<>:"/\\|?*\p{Cc}\u202a-\u202e\u2066-\u2069]/gu;

/** Names of devices, which Windows refuses for files, whatever follows the first dot. */
const DEVICE = /^(con|prn|aux|nul|com\d|lpt\d)(?=\.|$)/i;

/**
 * Return the name of a result: that of its photo with "-restored".
 *
 * Characters that a file system may refuse become "_", because the names are also those of files in
 * the ZIP archive, which browsers do not clean.
 *
 * @param {string} photo name of the photo.
 * @param {string} type media type of the result.
 * @param {number} index number of the result of the same photo; 0 is the photo itself.
 */
export function resultName(photo, type, index = 0) {
  const safe = photo.replace(UNSAFE, "_").replace(DEVICE, "$1_").trim();
  const stem = safe.replace(/\.[^.]{1,5}$/, "") || "photo";
  const extra = index ? `-${index + 1}` : "";
  return `${stem}-restored${extra}.${EXTENSIONS[type] ?? "bin"}`;
}

/** Make names unique by numbers, also where case does not count: a.jpg, A (2).jpg. */
export function uniqueNames(names) {
  const taken = new Set();
  return names.map((name) => {
    const dot = name.lastIndexOf(".");
    let unique = name;
    for (let number = 2; taken.has(unique.toLowerCase()); number += 1) {
      unique = `${name.slice(0, dot)} (${number})${name.slice(dot)}`;
    }
    taken.add(unique.toLowerCase());
    return unique;
  });
}

/** Suffixes of formats that every browser shows: where it cannot, the file is the reason. */
const SHOWN_EVERYWHERE = new Set(["JPG", "JPEG", "PNG", "WEBP", "GIF", "BMP"]);

/** Name the kind of a file that the browser cannot show, by its suffix: "HEIC files". */
export function fileKind(name) {
  const suffix = /\.([a-z0-9]{2,5})$/i.exec(name)?.[1].toUpperCase();
  return suffix && !SHOWN_EVERYWHERE.has(suffix) ? `${suffix} files` : "this file";
}

/** Write a number of bytes as "3.2 MB". */
export function fileSize(bytes) {
  if (bytes < 1000) return `${bytes} bytes`;
  return bytes < 1e6 ? `${Math.round(bytes / 1000)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Turn a name such as face_restore into words: Face restore. */
export function humanName(name) {
  const words = name.replaceAll("_", " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1);
}
