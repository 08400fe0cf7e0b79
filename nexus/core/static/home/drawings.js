// Draws what the page shows as SVG: posters of movies without a picture, score rings, bars.

const SVG = "http://www.w3.org/2000/svg";

/** Create an SVG element. Text goes in as text, never as markup. */
export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

// Genre: hue of the poster, and the motif on it.
const GENRES = {
  Action: [12, drawRays], Adventure: [32, drawHills], Animation: [268, drawDots],
  Comedy: [44, drawSun], Crime: [214, drawBlinds], Documentary: [190, drawHorizon],
  Drama: [346, drawArches], Family: [150, drawDots], Fantasy: [282, drawHills],
  History: [24, drawArches], Horror: [356, drawTeeth], Music: [318, drawWaves],
  Mystery: [236, drawEye], Romance: [336, drawWaves], "Science Fiction": [204, drawPlanet],
  Thriller: [222, drawBlinds], "TV Movie": [176, drawHorizon], War: [78, drawHorizon], Western: [20, drawSun],
};

/** Draw a poster from title, year and genres. The same movie always gets the same poster. */
export function drawPoster(movie) {
  const random = makeRandom(movie.title + movie.release_year);
  // One of its genres decides, so that a shelf of adventures is not all of one color.
  const genres = movie.genres.slice(0, 3).filter((genre) => genre in GENRES);
  const [genreHue, drawMotif] = GENRES[genres[Math.floor(random() * genres.length)]] || [210, drawHorizon];
  const hue = genreHue + random() * 44 - 22 + 360;
  const shade = (turn, saturation, lightness) => `hsl(${Math.round(hue + turn) % 360} ${saturation}% ${lightness}%)`;
  const colors = {
    back: shade(-14, 36, 22), deep: shade(-24, 40, 12), mid: shade(0, 46, 40),
    light: shade(10, 58, 58), glow: shade(18, 80, 80),
  };
  const { lines, size } = wrapTitle(movie.title);
  const top = 264 - (lines.length - 1) * size * 1.1;
  return svg(
    "svg",
    { viewBox: "0 0 200 300", class: "drawn", "aria-hidden": "true" },
    svg("rect", { width: 200, height: 300, fill: colors.back }),
    ...drawMotif(colors, random),
    svg("rect", { y: top - size - 14, width: 200, height: 300, fill: colors.deep, opacity: 0.9 }),
    ...lines.map((line, index) =>
      svg("text", { x: 15, y: top + index * size * 1.1, "font-size": size, class: "drawn-title" }, line),
    ),
    svg("text", { x: 15, y: 286, class: "drawn-line" }, [movie.release_year, movie.genres[0]].filter(Boolean).join("  ·  ")),
  );
}

/** Return the title in at most four lines and the font size at which they fit. */
function wrapTitle(title) {
  const words = title.split(/\s+/);
  for (const size of [28, 25, 22, 19, 16]) {
    // Characters of the widest common serif take this share of the font size.
    const width = Math.floor(170 / (size * 0.63));
    const lines = [""];
    for (const word of words) {
      const line = lines.at(-1);
      if (!line) lines[lines.length - 1] = word;
      else if (line.length + 1 + word.length <= width) lines[lines.length - 1] += ` ${word}`;
      else lines.push(word);
    }
    if (lines.length <= 4 && lines.every((line) => line.length <= width)) return { lines, size };
  }
  const short = title.length > 56 ? `${title.slice(0, 55)}…` : title;
  return { lines: short.match(/.{1,16}(?:\s|$)|.{1,16}/gu).slice(0, 4), size: 16 };
}

/** Return a generator of numbers from 0 to 1 that a text determines. */
function makeRandom(text) {
  let state = 2166136261;
  for (const character of text) state = Math.imul(state ^ character.codePointAt(0), 16777619);
  const next = () => {
    state = Math.imul(state ^ (state >>> 15), 2246822519) + 0x9e3779b9;
    return ((state ^ (state >>> 13)) >>> 0) / 2 ** 32;
  };
  // The first numbers of similar texts are similar.
  next();
  next();
  return next;
}

const circle = (cx, cy, r, fill, opacity = 1) => svg("circle", { cx, cy, r, fill, opacity });
const path = (d, fill, opacity = 1) => svg("path", { d, fill, opacity });
const count = (n, draw) => Array.from({ length: n }, (_, index) => draw(index));

function drawPlanet({ mid, light, glow }, random) {
  const [x, y] = [70 + random() * 60, 95 + random() * 25];
  const ring = { cx: x, cy: y, rx: 84, ry: 17, fill: "none", stroke: glow, "stroke-width": 2, transform: `rotate(${-24 + random() * 16} ${x} ${y})` };
  const stars = count(14, () => circle(random() * 200, random() * 200, 0.6 + random(), glow, 0.8));
  return [...stars, circle(x, y, 54, mid), path(`M${x - 54} ${y}a54 54 0 0 0 108 0z`, light, 0.45), svg("ellipse", ring)];
}

function drawSun({ mid, light, glow }, random) {
  const x = 60 + random() * 80;
  return [circle(x, 120, 74, mid), circle(x, 120, 54, light), circle(x, 120, 34, glow), path("M0 176q50 -22 100 -6t100 -8V300H0z", mid)];
}

function drawHills({ mid, light, glow }, random) {
  const peak = 60 + random() * 80;
  return [
    circle(200 - peak, 62, 22, glow), path(`M0 210L${peak} 70L200 230V300H0z`, light, 0.75),
    path(`M${peak} 70l-22 31 14 8 9 -9 12 10 9 -8z`, glow), path("M0 230L120 140L200 200V300H0z", mid),
  ];
}

function drawRays({ mid, light, glow }, random) {
  const [x, y] = [60 + random() * 80, 120];
  const ray = (index) => {
    const [from, to] = [index, index + 0.5].map((step) => (step / 11) * 2 * Math.PI);
    return path(`M${x} ${y}L${x + 320 * Math.cos(from)} ${y + 320 * Math.sin(from)}L${x + 320 * Math.cos(to)} ${y + 320 * Math.sin(to)}z`, mid, 0.8);
  };
  return [...count(11, ray), circle(x, y, 38, light), circle(x, y, 20, glow)];
}

function drawDots({ mid, light, glow }, random) {
  const fills = [mid, light, glow];
  return count(13, (index) => circle(random() * 200, random() * 210, 8 + random() * 30, fills[index % 3], 0.78));
}

function drawBlinds({ mid, light, glow }, random) {
  const x = 60 + random() * 80;
  const slats = count(13, (index) => svg("rect", { y: index * 18, width: 200, height: 10, fill: mid, opacity: 0.32 + index * 0.045 }));
  return [circle(x, 105, 50, light), circle(x, 105, 30, glow, 0.85), ...slats];
}

function drawArches({ mid, light, glow, back }, random) {
  const x = 75 + random() * 50;
  return [[86, mid], [64, light], [42, back], [22, glow]].map(([r, fill]) => path(`M${x - r} 300V${150}a${r} ${r} 0 0 1 ${2 * r} 0V300z`, fill));
}

function drawWaves({ mid, light, glow }, random) {
  const y = 70 + random() * 30;
  const wave = (index) => path(`M0 ${y + index * 34}q50 ${-46 + index * 6} 100 0t100 0V300H0z`, [light, mid][index % 2], 0.55);
  return [circle(140 - random() * 80, y - 8, 36, glow), ...count(4, wave)];
}

function drawTeeth({ mid, light, glow, deep }, random) {
  const tooth = (index) => `L${index * 25 + 12.5} ${74 + random() * 46}L${index * 25 + 25} 0`;
  return [circle(100, 132, 62, light), circle(100, 132, 40, glow, 0.75), path(`M0 0${count(8, tooth).join("")}z`, deep), path("M0 240q100 -60 200 0V300H0z", mid)];
}

function drawEye({ mid, light, glow, deep }, random) {
  const y = 100 + random() * 20;
  return [...[92, 72].map((r) => circle(100, y, r, mid, 0.45)), path(`M12 ${y}q88 -84 176 0q-88 84 -176 0z`, glow), circle(100, y, 32, light), circle(100, y, 14, deep)];
}

function drawHorizon({ mid, light, glow }, random) {
  const x = 50 + random() * 100;
  const bands = count(5, (index) => svg("rect", { y: 146 + index * 26, width: 200, height: 27, fill: index % 2 ? mid : light, opacity: 0.75 - index * 0.1 }));
  return [circle(x, 140, 46, glow), ...bands];
}

/** Draw a probability in percent as a ring. The text is what screen readers read. */
export function drawRing(score) {
  const length = 2 * Math.PI * 20;
  return svg(
    "svg",
    { viewBox: "0 0 48 48", class: "ring", "aria-hidden": "true" },
    svg("circle", { cx: 24, cy: 24, r: 20, class: "ring-track" }),
    svg("circle", { cx: 24, cy: 24, r: 20, class: "ring-value", "stroke-dasharray": `${(length * score) / 100} ${length}`, transform: "rotate(-90 24 24)" }),
    svg("text", { x: 24, y: 28.5, "text-anchor": "middle" }, String(Math.round(score))),
  );
}

/** Draw a part of a score: a bar from where the parts before it end. */
export function drawBar(start, points, kind) {
  const [from, to] = [start, start + points].map((end) => Math.min(100, Math.max(0, end)));
  return svg(
    "svg",
    { viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" },
    svg("rect", { width: 100, height: 4, class: "track" }),
    svg("rect", { x: Math.min(from, to), width: Math.max(Math.abs(to - from), 0.4), height: 4, class: kind }),
  );
}
