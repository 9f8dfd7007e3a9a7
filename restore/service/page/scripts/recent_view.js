/** Recent results of this browser, and what the service still has of them. */

import { button, byId, element, icon } from "./dom.js";
import { ServiceError } from "./errors.js";
import { FINAL } from "./jobs.js";
import { forgetJobs, recentJobs } from "./recent_store.js";
import { taskTitle } from "./tasks.js";

const EXPIRED = "Expired: the service has removed it";

export class RecentView {
  /**
   * @param {Api} api the client.
   * @param {{open: function(string), isOpen: function(string): boolean}} page `open` shows a job as
   *     a card; jobs that are open are not listed.
   */
  constructor(api, page) {
    this.api = api;
    this.page = page;
    byId("recent-clear").addEventListener("click", () => {
      forgetJobs();
      this.render();
    });
  }

  /** Show the list and ask the service for the state of each job. */
  render() {
    const jobs = recentJobs().filter((job) => !this.page.isOpen(job.id));
    byId("recent").hidden = jobs.length === 0;
    byId("recent-list").replaceChildren(...jobs.map((job) => this.#item(job)));
  }

  #item(job) {
    const state = element("span", { class: "recent-state", text: "…" });
    const open = element(
      "button",
      {
        type: "button",
        class: "recent-open",
        disabled: true,
        onclick: () => this.page.open(job.id),
      },
      job.thumbnail
        ? element("img", { src: job.thumbnail, alt: "" })
        : element("span", { class: "recent-blank" }, icon("photo")),
      element("span", { class: "recent-name", text: job.name }),
      element("span", {
        class: "recent-task",
        text: `${taskTitle(job.task)} · ${ago(job.created)}`,
      }),
      state,
    );
    const forget = () => {
      forgetJobs(job.id);
      this.render();
    };
    const label = `Remove ${job.name} from the list`;
    this.#check(job, state, open);
    return element(
      "li",
      {},
      open,
      button({ label, symbol: "close", kind: "quiet", onclick: forget }),
    );
  }

  async #check(job, state, open) {
    try {
      const prediction = await this.api.prediction(job.id);
      state.textContent = stateText(prediction);
      open.disabled = prediction.data_removed || ["failed", "canceled"].includes(prediction.status);
    } catch (error) {
      const gone = error instanceof ServiceError && [404, 410].includes(error.status);
      state.textContent = gone ? EXPIRED : error.message;
    }
    open.classList.toggle("expired", open.disabled);
  }
}

function stateText(prediction) {
  if (prediction.data_removed) return EXPIRED;
  if (!FINAL.has(prediction.status)) return "In progress";
  return { succeeded: "Ready", failed: "Failed", canceled: "Cancelled" }[prediction.status] ?? "";
}

/** Say how long ago a time was. */
export function ago(time, now = Date.now()) {
  const minutes = Math.round((now - time) / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  const hours = Math.round(minutes / 60);
  return hours < 24 ? `${hours} h ago` : new Date(time).toLocaleDateString();
}
