// Movie night: a few people join a group by its code, vote on one list, and decide.

import { drawRing } from "./drawings.js";
import { announce, byId, describe, html, makePoster, showError, showNotice } from "./elements.js";

const LIST_LENGTH = 8;
// Votes and members of the others are read this often, and the list only when they have changed.
const POLL_MS = 4000;

export class MovieNight {
  #api;
  #signIn;
  #username = "";
  #group = null;
  #votes = [];
  #shown = "";
  #timer = null;

  /** `signIn` starts a guest session and returns when there is one. */
  constructor(api, signIn) {
    this.#api = api;
    this.#signIn = signIn;
    const submit = (id, ask) => byId(id).addEventListener("submit", (event) => this.#submit(event, ask));
    submit("night-create", () => api.post("/groups/", { name: "Movie night" }));
    submit("night-join", () => api.post("/groups/join/", { join_code: byId("night-code").value }));
    byId("night-leave").addEventListener("click", () => this.#attempt(() => this.#leave()));
  }

  /** Continue with the newest group of the caller, if there is one. */
  async open(username) {
    this.#username = username;
    const { results } = await this.#api.get("/groups/?page_size=1");
    if (results.length) await this.#enter(results[0]);
  }

  /** Show the forms again. */
  close() {
    clearTimeout(this.#timer);
    this.#group = null;
    byId("night-room").hidden = true;
    byId("night-start").hidden = false;
    showNotice("", byId("night-notice"));
  }

  /** Read the list again: the caller has rated a movie. */
  refresh() {
    return this.#group && this.#attempt(() => this.#showList());
  }

  async #attempt(run) {
    showNotice("", byId("night-notice"));
    try {
      await run();
    } catch (error) {
      showError(error, byId("night-notice"));
    }
  }

  /** Enter the group that `ask` returns, as a guest if nobody is signed in. */
  async #submit(event, ask) {
    event.preventDefault();
    const button = event.target.querySelector("button");
    button.disabled = true;
    await this.#attempt(async () => {
      if (!this.#api.isSignedIn) await this.#signIn();
      if (!this.#api.isSignedIn) return;
      await this.#enter(await ask());
      byId("night-title").focus();
    });
    button.disabled = false;
  }

  async #leave() {
    await this.#api.post(`/groups/${this.#group.id}/leave/`);
    this.close();
    byId("night-code").focus();
  }

  async #enter(group) {
    this.#group = group;
    this.#shown = "";
    byId("night-list").replaceChildren();
    byId("night-start").hidden = true;
    byId("night-room").hidden = false;
    await this.#update();
    this.#schedule();
  }

  #schedule() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(async () => {
      const id = this.#group.id;
      // A tab in the background asks for nothing.
      if (!document.hidden) {
        await this.#update().catch((error) => {
          if (error.status === 404) this.close();
          showError(error, byId("night-notice"));
        });
      }
      if (this.#group?.id === id) this.#schedule();
    }, POLL_MS);
  }

  /** Read members and votes; if they differ from what is shown, read the list. */
  async #update() {
    const path = `/groups/${this.#group.id}/`;
    const [group, votes] = await Promise.all([this.#api.get(path), this.#api.get(`${path}votes/?page_size=100`)]);
    this.#group = group;
    this.#votes = votes.results;
    const state = JSON.stringify([group.members, this.#votes]);
    if (state === this.#shown) return;
    this.#showRoom();
    await this.#showList();
    this.#shown = state;
  }

  #name(username) {
    return username === this.#username ? "You" : username;
  }

  #showRoom() {
    const { members, join_code: code } = this.#group;
    byId("night-people").textContent = members.map(({ username }) => this.#name(username)).join(", ");
    byId("night-invite").hidden = !code;
    byId("night-show-code").textContent = code ? `${code.slice(0, 5)}-${code.slice(5)}` : "";
    const decided = this.#votes.find((each) => each.decided && members.length > 1);
    if (decided && byId("night-decided").hidden) announce(`Decided: ${decided.movie.title}.`);
    byId("night-decided").hidden = !decided;
    byId("night-movie").textContent = decided ? decided.movie.title : "";
    const own = this.#votes.filter(({ votes }) => votes.some((each) => each.vote === "veto" && each.username === this.#username));
    byId("night-vetoes").replaceChildren(
      ...own.map(({ movie }) => html("button", { type: "button", class: "link", onclick: () => this.#vote(movie, null) }, `Take back your veto of ${movie.title}`)),
    );
  }

  async #showList() {
    const list = byId("night-list");
    if (this.#group.members.length < 2) {
      list.replaceChildren();
      byId("night-hint").textContent = "The list appears when a second person has joined.";
      return;
    }
    const page = await this.#api.get(`/groups/${this.#group.id}/recommendations/?page_size=${LIST_LENGTH}`);
    const focused = document.activeElement?.dataset.key;
    list.replaceChildren(...page.results.map((item) => this.#makeRow(item)));
    if (focused) list.querySelector(`[data-key="${focused}"]`)?.focus();
    const unrated = page.members_without_ratings.map((username) => this.#name(username));
    byId("night-hint").textContent = unrated.length
      ? `Without a rating, so with the score that everybody starts with: ${unrated.join(", ")}.`
      : "The chance that all of you like it.";
    const [first] = page.results;
    if (first) announce(`The group's list has changed. First: ${first.movie.title}, ${Math.round(first.group_score)} percent.`);
  }

  #makeRow({ movie, group_score: score, members, reasons }) {
    const votes = this.#votes.find((each) => each.movie.id === movie.id)?.votes ?? [];
    const isYes = votes.some((each) => each.username === this.#username && each.vote === "yes");
    const yes = votes.filter((each) => each.vote === "yes").map(({ username }) => this.#name(username));
    const makeButton = (key, text, pressed, vote) =>
      html(
        "button",
        { type: "button", class: "vote", "data-key": `${key}-${movie.id}`, "aria-pressed": pressed, onclick: () => this.#vote(movie, vote) },
        text,
        html("span", { class: "hidden" }, ` ${movie.title}`),
      );
    return html(
      "li",
      {},
      makePoster(movie),
      html(
        "div",
        { class: "feed-text" },
        html("strong", {}, movie.title),
        html("small", {}, describe(movie)),
        html("small", {}, members.map((each) => `${this.#name(each.username)} ${Math.round(each.match_score)} %`).join(" · ")),
        html("span", { class: "reason" }, reasons[0] || ""),
        yes.length ? html("small", { class: "yes" }, `Yes: ${yes.join(", ")}`) : "",
      ),
      html("div", { class: "feed-score" }, drawRing(score), html("span", { class: "hidden" }, `${Math.round(score)} percent that all like it`)),
      html("div", { class: "votes" }, makeButton("yes", "Yes", String(isYes), isYes ? null : "yes"), makeButton("veto", "Veto", null, "veto")),
    );
  }

  /** Send a vote, or take it back, and show what follows from it. */
  #vote(movie, vote) {
    const path = `/groups/${this.#group.id}/votes/${movie.id}/`;
    return this.#attempt(async () => {
      if (vote) await this.#api.put(path, { vote });
      else await this.#api.delete(path);
      await this.#update();
    });
  }
}
