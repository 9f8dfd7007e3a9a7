/** Parses the files named on the command line as ES modules and prints their syntax errors. */

import { readFileSync } from "node:fs";
import { SourceTextModule } from "node:vm";

for (const path of process.argv.slice(2)) {
  try {
    new SourceTextModule(readFileSync(path, "utf8"), { identifier: path });
  } catch (error) {
    console.log(`${path}: ${error.message}`);
    process.exitCode = 1;
  }
}
