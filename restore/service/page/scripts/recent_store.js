/** The list of recent jobs of this browser. Photos and results stay with the service. */

const NAME = "restore-recent";
const MOST = 12;

/** Return the jobs, newest first: {id, name, task, created, thumbnail}. */
export function recentJobs() {
  try {
    return JSON.parse(localStorage.getItem(NAME) ?? "[]");
  } catch {
    return []; // written by something else
  }
}

/** Add a job or replace what is known of it. */
export function rememberJob(job) {
  const others = recentJobs().filter((each) => each.id !== job.id);
  const known = recentJobs().find((each) => each.id === job.id);
  write([{ ...known, ...job }, ...others].slice(0, MOST));
}

/** Remove one job, or all of them without an id. */
export function forgetJobs(id = null) {
  write(id === null ? [] : recentJobs().filter((each) => each.id !== id));
}

function write(jobs) {
  localStorage.setItem(NAME, JSON.stringify(jobs));
}
