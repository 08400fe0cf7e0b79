// The page at `/`: a shelf of movies, and a trial in which a guest rates six and watches the feed.
// The movie night below it is in night.js.

import { Api } from "./api.js";
import { drawBar, drawRing } from "./drawings.js";
import { announce, byId, describe, html, makePoster, pluralize, showError, showNotice } from "./elements.js";
import { MovieNight } from "./night.js";

const RATINGS_WANTED = 6;
// Whole rows: of three on wide screens, of two on phones.
const RATE_CARDS = matchMedia("(max-width: 560px)").matches ? 8 : 9;
const FEED_LENGTH = 6;
const CALLS_SHOWN = 12;
// With the arrow keys the stars pass through every value; only the last one is sent.
const RATING_DELAY_MS = 350;

const PARTS = {
  genre_affinity: "Genres you like",
  rating_history: "Movies you rated",
  popularity: "What others think of it",
};

const api = new Api();
const night = new MovieNight(api, startTrial);

// --- Movies ---------------------------------------------------------------------------------------

async function showShelf() {
  const shelf = byId("shelf");
  try {
    const { results } = await api.getPublic("/movies/top_rated/?page_size=14");
    shelf.replaceChildren(
      ...results.map((movie) =>
        html(
          "li",
          {},
          makePoster(movie),
          html("strong", {}, movie.title),
          html("small", {}, describe(movie)),
          html("small", {}, `${movie.weighted_rating.toFixed(1)} of 10`),
        ),
      ),
    );
    if (!results.length) showNotice("The catalogue is empty. Import movies first.", byId("shelf-notice"));
  } catch (error) {
    showNotice(error.message, byId("shelf-notice"));
  }
  shelf.setAttribute("aria-busy", "false");
}

// --- The trial ------------------------------------------------------------------------------------

/** The guest's stars by movie id. */
let scores = new Map();
/** The match scores of the feed on the page by movie id. */
let shownScores = new Map();

async function startTrial() {
  const button = byId("start-button");
  button.disabled = true;
  showNotice("");
  try {
    const user = await api.startAsGuest();
    await openTrial(user);
  } catch (error) {
    showError(error);
  }
  button.disabled = false;
}

/** Show the movies to rate and the feed. Movies that are rated already come first, after a reload. */
async function openTrial(user) {
  const [rated, onboarding, profile] = await Promise.all([
    api.get("/ratings/?page_size=100"),
    api.get("/movies/onboarding/?page_size=30"),
    user ?? api.get("/profiles/me/"),
  ]);
  const withStars = rated.results.filter((rating) => rating.score !== null);
  scores = new Map(withStars.map((rating) => [rating.movie.id, rating.score]));
  const movies = [...rated.results, ...onboarding.results].map((entry) => entry.movie);
  byId("rate").replaceChildren(...movies.map(makeRateCard));
  showRateCards(Math.max(RATE_CARDS, scores.size + 3));
  byId("guest-name").textContent = profile.username;
  byId("start").hidden = true;
  byId("trial").hidden = false;
  showProgress();
  await Promise.all([showFeed(), night.open(profile.username)]);
}

function closeTrial() {
  night.close();
  byId("trial").hidden = true;
  byId("start").hidden = false;
  shownScores = new Map();
  scores = new Map();
}

function showRateCards(limit) {
  const cards = [...byId("rate").children];
  cards.forEach((card, index) => {
    card.hidden = index >= limit;
  });
  byId("more-button").hidden = cards.length <= limit;
}

/** Return a card with five stars: radio buttons, so that the keyboard and screen readers work. */
function makeRateCard(movie) {
  let timer;
  const stars = [1, 2, 3, 4, 5].map((score) =>
    html(
      "label",
      { title: pluralize(score, "star") },
      html("input", {
        type: "radio",
        name: `stars-${movie.id}`,
        value: score,
        checked: Math.round(scores.get(movie.id)) === score,
        onchange: () => {
          clearTimeout(timer);
          timer = setTimeout(() => rateMovie(movie, score), RATING_DELAY_MS);
        },
      }),
      html("span", { class: "hidden" }, pluralize(score, "star")),
      html("span", { class: "star", "aria-hidden": "true" }, "★"),
    ),
  );
  return html(
    "li",
    {},
    makePoster(movie),
    html("strong", {}, movie.title),
    html("small", {}, describe(movie)),
    html("fieldset", { class: "stars" }, html("legend", { class: "hidden" }, `Your stars for ${movie.title}`), ...stars),
  );
}

async function rateMovie(movie, score) {
  showNotice("");
  try {
    await api.post("/ratings/", { movie: movie.id, score });
    scores.set(movie.id, score);
    showProgress();
    await Promise.all([showFeed(), night.refresh()]);
  } catch (error) {
    showError(error);
  }
}

function showProgress() {
  const left = RATINGS_WANTED - scores.size;
  byId("progress-bar").setAttribute("width", (Math.min(scores.size, RATINGS_WANTED) / RATINGS_WANTED) * 100);
  if (left === RATINGS_WANTED) byId("progress-text").textContent = "Rate six movies you have seen.";
  else if (left > 0) byId("progress-text").textContent = `${scores.size} of ${RATINGS_WANTED} rated. Your feed has changed.`;
  else byId("progress-text").textContent = `${pluralize(scores.size, "movie")} rated. Open a score to see why.`;
}

/** The number of the newest request for the feed: responses of older ones are not shown. */
let feedRequest = 0;

async function showFeed() {
  const request = (feedRequest += 1);
  const list = byId("feed");
  list.setAttribute("aria-busy", "true");
  const feed = await api.get(`/movies/recommendations/?page_size=${FEED_LENGTH}`);
  if (request !== feedRequest) return;

  const positions = new Map([...list.children].map((row) => [row.dataset.movie, row.getBoundingClientRect().top]));
  list.replaceChildren(...feed.results.map(makeFeedRow));
  list.setAttribute("aria-busy", "false");
  moveRows(list, positions);
  byId("feed-kind").textContent =
    feed.strategy === "personalized" ? "Made from your stars. Open a score to see why." : "What everybody starts with. It changes with your first star.";
  shownScores = new Map(feed.results.map((item) => [item.movie.id, item.match_score]));
  const [first] = feed.results;
  if (first) announce(`The feed has changed. First: ${first.movie.title}, ${Math.round(first.match_score)} percent.`);
}

function makeFeedRow({ movie, match_score: score, reasons }) {
  const button = html(
    "button",
    { type: "button", onclick: () => openScore(movie) },
    makePoster(movie),
    html("span", { class: "feed-text" }, html("strong", {}, movie.title), html("small", {}, describe(movie)), html("span", { class: "reason" }, reasons[0] || "")),
    html("span", { class: "feed-score" }, drawRing(score), html("span", { class: "hidden" }, `${Math.round(score)} percent. Open the score.`), makeChange(movie, score)),
  );
  return html("li", { "data-movie": movie.id }, button);
}

/** Return what has changed since the feed before: new in it, or points more or less. */
function makeChange(movie, score) {
  if (!shownScores.size) return "";
  if (!shownScores.has(movie.id)) return html("small", { class: "change up" }, "new");
  const points = Math.round(score) - Math.round(shownScores.get(movie.id));
  if (!points) return "";
  return html("small", { class: `change ${points > 0 ? "up" : "down"}` }, `${points > 0 ? "+" : "−"}${Math.abs(points)}`);
}

/** Let rows glide from their old places to the new ones. */
function moveRows(list, positions) {
  if (!positions.size || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
  for (const row of list.children) {
    const before = positions.get(row.dataset.movie);
    const start =
      before === undefined
        ? { opacity: 0, transform: "translateY(12px)" }
        : { transform: `translateY(${before - row.getBoundingClientRect().top}px)` };
    row.animate([start, { opacity: 1, transform: "none" }], { duration: 420, easing: "cubic-bezier(.2, .7, .2, 1)" });
  }
}

// --- One score ------------------------------------------------------------------------------------

async function openScore(movie) {
  showNotice("");
  try {
    const match = await api.get(`/movies/${movie.id}/match_score/`);
    byId("score-body").replaceChildren(...makeScore(movie, match));
    byId("score").showModal();
    byId("score").scrollTop = 0;
  } catch (error) {
    showError(error);
  }
}

function makeScore(movie, match) {
  let sum = match.baseline;
  const parts = Object.entries(PARTS).map(([name, label]) => {
    const { points, evidence } = match.components[name];
    const start = sum;
    sum += points;
    const sign = points < 0 ? "−" : "+";
    return html(
      "div",
      { class: "part" },
      html("dt", {}, label),
      html("dd", {}, sign + Math.abs(points).toFixed(1)),
      drawBar(start, points, points < 0 ? "minus" : "plus"),
      // The strongest of these are in `because`.
      html("dd", { class: "evidence" }, ...evidence.map((text) => html("p", {}, text))),
    );
  });
  const start = html("div", { class: "part" }, html("dt", {}, "Where everybody starts"), html("dd", {}, match.baseline.toFixed(1)), drawBar(0, match.baseline, "start"));
  return [
    html(
      "header",
      { class: "score-head" },
      makePoster(movie),
      html("div", {}, html("h2", { id: "score-title" }, match.title), html("p", { class: "small" }, describe(movie))),
      html("p", { class: "percent" }, match.match_score.toFixed(1), html("small", {}, "%")),
    ),
    html("p", {}, `The chance that you give it four stars or more. ${describeConfidence(match.confidence)}`),
    html("dl", { class: "parts" }, start, ...parts),
    ...makeCounterfactuals(match.counterfactuals),
    html("p", { class: "small" }, html("code", {}, `GET /movies/${match.movie_id}/match_score/`), ` · ${match.algorithm}`),
  ];
}

function makeCounterfactuals(counterfactuals) {
  if (!counterfactuals.length) return [];
  const items = counterfactuals.map(({ movie, your_score: stars, match_score_without: score }) =>
    html("li", {}, `${movie.title} (you gave ${pluralize(stars, "star")}): ${score.toFixed(1)} %`),
  );
  return [html("h3", {}, "The score without your rating of"), html("ul", { class: "reasons" }, ...items)];
}

function describeConfidence(confidence) {
  return `Confidence ${Math.round(confidence * 100)} %: it grows with your ratings.`;
}

// --- Requests -------------------------------------------------------------------------------------

function showCall({ detail: { method, path, status, ms } }) {
  const call = html("li", {}, html("code", {}, html("b", {}, method), ` ${path}`), html("small", {}, `${status} · ${ms} ms`));
  byId("calls").prepend(call);
  byId("calls").children[CALLS_SHOWN]?.remove();
}

// --- Start ----------------------------------------------------------------------------------------

api.addEventListener("call", showCall);
api.addEventListener("signedout", ({ detail: error }) => {
  closeTrial();
  showError(error);
});
byId("start-button").addEventListener("click", async () => {
  await startTrial();
  if (api.isSignedIn) byId("try-title").focus();
});
byId("more-button").addEventListener("click", () => {
  const hidden = byId("rate").querySelector("[hidden]");
  showRateCards(Infinity);
  hidden?.querySelector("input").focus();
});
byId("end-button").addEventListener("click", async () => {
  await api.signOut();
  closeTrial();
  byId("start-button").focus();
});
byId("score").addEventListener("click", (event) => {
  if (event.target === event.currentTarget) event.currentTarget.close();
});

showShelf();
if (api.isSignedIn) {
  openTrial().catch((error) => {
    if (api.isSignedIn) byId("start").hidden = false;
    showError(error);
  });
} else {
  byId("start").hidden = false;
}
