// Builds what both parts of the page show: elements, messages, posters.

import { drawPoster } from "./drawings.js";

export const byId = (id) => document.getElementById(id);
export const pluralize = (count, noun) => `${count} ${noun}${count === 1 ? "" : "s"}`;

/** Create an element. Children that are strings become text nodes: no text of the API is ever markup. */
export function html(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (value === true) element.setAttribute(key, "");
    else if (value !== false && value !== null) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

export function announce(text) {
  byId("status").textContent = text;
}

export function showNotice(text, notice = byId("notice")) {
  notice.textContent = text;
  notice.hidden = !text;
}

export function showError(error, notice = byId("notice")) {
  const wait = error.retryAfter ? ` Try again in ${error.retryAfter} s.` : "";
  showNotice(error.message.includes("Try again") ? error.message : error.message + wait, notice);
}

/** Return the movie's picture, or a drawn poster if it has none or it does not load. */
export function makePoster(movie) {
  const frame = html("div", { class: "poster" });
  if (movie.poster_url) {
    const image = html("img", { src: movie.poster_url, alt: "", loading: "lazy", width: 200, height: 300 });
    image.addEventListener("error", () => image.replaceWith(drawPoster(movie)));
    frame.append(image);
  } else {
    frame.append(drawPoster(movie));
  }
  return frame;
}

export function describe(movie) {
  return [movie.release_year, movie.genres[0]].filter(Boolean).join(" · ");
}
