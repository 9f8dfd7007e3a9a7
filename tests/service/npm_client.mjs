// Uses Replicate's client for JavaScript; test_npm_client.py calls it and checks what it prints.
import { readFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [library, baseUrl, auth, photoPath] = process.argv.slice(2);
const { default: Replicate } = await import(pathToFileURL(library));
const replicate = new Replicate({ auth, baseUrl });
const MODEL = "restore/restore";
const photo = await readFile(photoPath);
const input = { task: "upscale", scale: 2, image: photo };
const seen = {};

const [output] = await replicate.run(MODEL, { input });
seen.run = Buffer.from(await (await output.blob()).arrayBuffer()).toString("base64");

const model = await replicate.models.get("restore", "restore");
const statuses = [];
const polled = await replicate.run(
  `${MODEL}:${model.latest_version.id}`,
  { input, wait: { mode: "poll", interval: 20 } },
  (prediction) => statuses.push(prediction.status),
);
seen.polled = { outputs: polled.length, first: statuses[0], last: statuses.at(-1) };

const created = await replicate.predictions.create({ model: MODEL, input });
const ended = await replicate.wait(created, { interval: 20 });
seen.ended = { status: ended.status, worker: ended.metrics.worker };

const cancelled = await replicate.predictions.create({ model: MODEL, input, wait: false });
await replicate.predictions.cancel(cancelled.id);
seen.cancelled = (await replicate.wait(cancelled, { interval: 20 })).status;

const pages = [];
for await (const page of replicate.paginate(replicate.predictions.list)) pages.push(page.length);
seen.listed = pages[0];

const file = await replicate.files.create(photo, { album: "1958" });
seen.file = { size: (await replicate.files.get(file.id)).size };
seen.file.deleted = await replicate.files.delete(file.id);

seen.errors = [];
for (const run of [
  () => replicate.run(MODEL, { input: { image: Buffer.from("no photo at all") } }),
  () => replicate.run(MODEL, { input: { image: photo, scale: 99 } }),
  () => replicate.run("other/model", { input }),
]) {
  await run().catch((error) => seen.errors.push(error.message));
}
seen.secret = (await replicate.webhooks.default.secret.get()).key;
console.log(JSON.stringify(seen));
