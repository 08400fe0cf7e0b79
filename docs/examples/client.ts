// A typed client: openapi-typescript generates `schema.d.ts`, openapi-fetch sends the requests.
//
//   npm install openapi-typescript openapi-fetch
//   npx openapi-typescript http://localhost:8000/openapi.json --default-non-nullable false -o schema.d.ts
//   node --experimental-strip-types client.ts http://localhost:8000
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.d.ts";

type Problem = components["schemas"]["Problem"];
type FeedEvent = components["schemas"]["FeedEvent"];

const api = createClient<paths>({
  baseUrl: process.argv[2] ?? "http://localhost:8000",
  // Lists in a query are `ids=1,2,3`; openapi-fetch would send `ids=1&ids=2&ids=3`.
  querySerializer: { array: { style: "form", explode: false } },
});

class ApiError extends Error {
  readonly problem: Problem;

  constructor(problem: Problem) {
    super(`${problem.code}: ${problem.detail} (request ${problem.request_id})`);
    this.problem = problem;
  }
}

function unwrap<T>(result: { data?: T; error?: Problem }): T {
  if (result.error !== undefined) throw new ApiError(result.error);
  return result.data as T;
}

function describe(event: FeedEvent): string {
  // `kind` says which of `rating` and `playlist` is not null.
  switch (event.kind) {
    case "rated":
    case "reviewed":
      return `${event.user}: ${event.rating.movie.title} ${event.rating.score ?? "not scored"}`;
    case "published":
      return `${event.user}: ${event.playlist.name}`;
  }
}

// Register. The access token is sent with each request from here on.
const username = `client${Date.now()}`;
const password = "blue-kettle-4242";
const registered = unwrap(
  await api.POST("/auth/register/", {
    body: { username, email: `${username}@example.org`, password },
  }),
);
let access = registered.access;
api.use({
  onRequest({ request }) {
    request.headers.set("Authorization", `Bearer ${access}`);
  },
});

// Search, and rate six movies.
const found = unwrap(await api.GET("/movies/", { params: { query: { search: "the", page_size: 6 } } }));
const movieIds = found.results.map((movie) => movie.id);
for (const movie of movieIds) {
  const rating = unwrap(await api.POST("/ratings/", { body: { movie, score: 4.5 } }));
  const score: number | null = rating.score;
  console.log(rating.movie.title, score);
}

// Read the feed, and why its first movie is there.
const feed = unwrap(
  await api.GET("/movies/recommendations/", { params: { query: { genre: ["Drama"], page_size: 5 } } }),
);
const strategy: "personalized" | "cold_start" = feed.strategy;
console.log(strategy, feed.results.map((item) => item.movie.title));
const first = feed.results[0];
if (first === undefined) throw new Error("The feed is empty.");
const match = unwrap(
  await api.GET("/movies/{id}/match_score/", { params: { path: { id: first.movie.id } } }),
);
console.log(match.title, match.match_score, match.components.genre_affinity.points);

// What a list screen shows of the caller, and a detail screen, in one request each.
const states = unwrap(await api.GET("/movies/states/", { params: { query: { ids: movieIds } } }));
console.log(states.map((state) => state.rating?.score));
const detail = unwrap(
  await api.GET("/movies/{id}/", {
    params: { path: { id: first.movie.id }, query: { append: ["similar", "state"] } },
  }),
);
console.log(detail.similar?.results.length, detail.state?.match_score);

// Follow the author of a review, and read what they do.
const reviews = unwrap(
  await api.GET("/movies/{movie_id}/reviews/", { params: { path: { movie_id: first.movie.id } } }),
);
const author = reviews.results[0]?.user;
if (author !== undefined) {
  unwrap(await api.PUT("/profiles/{username}/follow/", { params: { path: { username: author } } }));
}
const activity = unwrap(await api.GET("/feed/"));
console.log(activity.results.map(describe));

// A misspelled code does not compile.
const missing = await api.GET("/movies/{id}/", { params: { path: { id: 999999999 } } });
if (missing.error?.code !== "not_found") throw new Error("Expected a problem document.");

// Refresh: the old refresh token is spent, and the new pair replaces it.
const pair = unwrap(await api.POST("/auth/token/refresh/", { body: { refresh: registered.refresh } }));
access = pair.access;
const me = unwrap(await api.GET("/profiles/me/"));
if (me.username !== username) throw new Error("Another account.");

unwrap(await api.DELETE("/profiles/me/", { body: { password } }));
console.log("done");
